/* replay.c -- see replay.h. */
#include "api/prompt/replay.h"

#include <pthread.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/hash.h"
#include "model/base/list.h"

#define N_BUCKETS 1024u
#define ID_SEED 3u

struct reply {
    struct list by_age;
    struct reply *next; /* in its bucket */
    uint64_t tenant;
    struct speech_options options;
    uint32_t n_ids;
    size_t n_said;
    char bytes[]; /* n_ids * IDS_BYTES, then n_said */
};

struct replay {
    pthread_mutex_t lock;
    struct reply *buckets[N_BUCKETS];
    struct list by_age; /* the oldest first */
    uint32_t n_replies, max_replies;
    size_t n_bytes, max_bytes;
};

int replay_new(struct replay **out, uint32_t max_replies, size_t max_bytes,
               struct err *err)
{
    struct replay *r = mem_calloc(1, sizeof *r);
    if (r == NULL)
        return err_nomem(err, "what was said");
    if (pthread_mutex_init(&r->lock, NULL) != 0) {
        mem_free(r);
        return err_nomem(err, "what was said");
    }
    list_init(&r->by_age);
    r->max_replies = max_replies;
    r->max_bytes = max_bytes;
    *out = r;
    return 0;
}

static struct reply **bucket_of(struct replay *r, const char *id)
{
    size_t n = strnlen(id, IDS_BYTES);
    return &r->buckets[hash_bytes(id, n, ID_SEED) % N_BUCKETS];
}

static size_t size_of(const struct reply *reply)
{
    return sizeof *reply + (size_t)reply->n_ids * IDS_BYTES + reply->n_said;
}

static void forget_oldest(struct replay *r)
{
    struct reply *reply = list_owner(r->by_age.next, struct reply, by_age);
    struct reply **at = bucket_of(r, reply->bytes);
    while (*at != reply)
        at = &(*at)->next;
    *at = reply->next;
    list_remove(&reply->by_age);
    r->n_replies--;
    r->n_bytes -= size_of(reply);
    mem_free(reply);
}

void replay_free(struct replay *r)
{
    if (r == NULL)
        return;
    while (!list_empty(&r->by_age))
        forget_oldest(r);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

void replay_put(struct replay *r, uint64_t tenant, const char *ids,
                uint32_t n_ids, const char *said, size_t n,
                const struct speech_options *options)
{
    size_t n_id_bytes = (size_t)n_ids * IDS_BYTES;
    if (n_ids == 0 || n > r->max_bytes || n_id_bytes > r->max_bytes ||
        sizeof(struct reply) + n_id_bytes + n > r->max_bytes)
        return;
    struct reply *reply = mem_calloc(1, sizeof *reply + n_id_bytes + n);
    if (reply == NULL)
        return;
    reply->tenant = tenant;
    reply->options = *options;
    reply->n_ids = n_ids;
    reply->n_said = n;
    memcpy(reply->bytes, ids, n_id_bytes);
    memcpy(reply->bytes + n_id_bytes, said, n);
    (void)pthread_mutex_lock(&r->lock);
    while (r->n_replies > 0 && (r->n_replies >= r->max_replies ||
                                r->n_bytes + size_of(reply) > r->max_bytes))
        forget_oldest(r);
    struct reply **at = bucket_of(r, reply->bytes);
    reply->next = *at;
    *at = reply;
    list_append(&r->by_age, &reply->by_age);
    r->n_replies++;
    r->n_bytes += size_of(reply);
    (void)pthread_mutex_unlock(&r->lock);
}

bool replay_get(struct replay *r, uint64_t tenant, const char *id,
                uint32_t n_ids, struct buf *ids, struct buf *said,
                struct speech_options *options)
{
    (void)pthread_mutex_lock(&r->lock);
    struct reply *reply = *bucket_of(r, id);
    while (reply != NULL && (reply->tenant != tenant || reply->n_ids != n_ids ||
                             strcmp(reply->bytes, id) != 0))
        reply = reply->next;
    if (reply != NULL) {
        size_t n_id_bytes = (size_t)n_ids * IDS_BYTES;
        list_remove(&reply->by_age);
        list_append(&r->by_age, &reply->by_age);
        buf_put(ids, reply->bytes, n_id_bytes);
        buf_put(said, reply->bytes + n_id_bytes, reply->n_said);
        *options = reply->options;
    }
    (void)pthread_mutex_unlock(&r->lock);
    return reply != NULL && buf_ok(ids) && buf_ok(said);
}

uint32_t replay_count(struct replay *r, size_t *n_bytes)
{
    (void)pthread_mutex_lock(&r->lock);
    uint32_t n = r->n_replies;
    *n_bytes = r->n_bytes;
    (void)pthread_mutex_unlock(&r->lock);
    return n;
}
