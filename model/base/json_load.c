/* json_load.c -- see json_load.h.
 *
 * The blocks of the running parse are listed without a header of their own, so
 * a value outlives its parse as any block of the heap.  Nothing in jansson's
 * parser holds a lock or an open file across an allocation, which is what
 * makes leaving it by longjmp sound.  A block is freed soon after it was made,
 * or replaces one of its own age: the search from the end is short.
 *
 * One parse a thread at a time; it is the thread's own. */
#include "model/base/json_load.h"

#include <setjmp.h>

#include "model/base/alloc.h"

struct parse {
    jmp_buf out_of_memory;
    void **blocks; /* owned; allocated by jansson and not freed yet */
    size_t n_blocks, room;
    bool running;
};

static _Thread_local struct parse parse; /* not automatic: longjmp keeps it */

static bool list_block(void *p)
{
    if (parse.n_blocks == parse.room) {
        size_t room = parse.room > 0 ? 2 * parse.room : 64;
        void **grown =
            mem_realloc_array(parse.blocks, room, sizeof *parse.blocks);
        if (grown == NULL)
            return false;
        parse.blocks = grown;
        parse.room = room;
    }
    parse.blocks[parse.n_blocks++] = p;
    return true;
}

static void *allocate(size_t n)
{
    void *p = mem_alloc(n);
    if (!parse.running || (p != NULL && list_block(p)))
        return p;
    mem_free(p);
    longjmp(parse.out_of_memory, 1);
}

static void release(void *p)
{
    for (size_t i = parse.n_blocks; parse.running && i-- > 0;) {
        if (parse.blocks[i] != p)
            continue;
        parse.blocks[i] = parse.blocks[--parse.n_blocks];
        break;
    }
    mem_free(p);
}

/* Before main: no value may have come from another allocator. */
__attribute__((constructor)) static void point_jansson_here(void)
{
    json_set_alloc_funcs(allocate, release);
}

static void end_parse(bool keep)
{
    parse.running = false;
    for (size_t i = 0; !keep && i < parse.n_blocks; i++)
        mem_free(parse.blocks[i]);
    mem_free(parse.blocks);
    parse.blocks = NULL;
    parse.n_blocks = parse.room = 0;
}

int json_load_whole(json_t **out, const char *text, size_t n, size_t flags,
                    json_error_t *error)
{
    *out = NULL;
    if (setjmp(parse.out_of_memory) != 0) {
        end_parse(false);
        return -ERR_NOMEM;
    }
    parse.running = true;
    *out = json_loadb(text, n, flags, error);
    end_parse(true);
    return 0;
}
