/* fuzz_template.c -- a template source, a NUL, then its variables as JSON. */
#include <stdint.h>
#include <string.h>

#include "model/base/json.h"
#include "model/template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct template_limits limits = {
        .steps = 20000,
        .depth = 32,
        .output_bytes = 1 << 16,
        .memory_bytes = 1 << 20,
    };
    const char *src = (const char *)data;
    const char *nul = memchr(src, '\0', size);
    size_t n = nul != NULL ? (size_t)(nul - src) : size;
    struct template *t = NULL;
    struct err err;
    struct buf out;
    json_t *context = NULL;
    if (nul != NULL)
        json_parse(&context, nul + 1, size - n - 1, 32, 1000, &err);
    if (!json_is_object(context)) {
        json_decref(context);
        context = json_pack("{s:[i,s,n],s:{s:s},s:s}", "l", 1, "a", "d", "k",
                            "v", "s", "text \xc3\xa9");
    }
    buf_init(&out, 0);
    if (template_compile(&t, src, n, &err) == 0)
        template_render(t, context, &limits, &out, &err);
    template_free(t);
    buf_deinit(&out);
    json_decref(context);
    return 0;
}
