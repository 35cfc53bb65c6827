/* auth.c -- see auth.h.
 *
 * Every key sits in a slot of the same size, padded with zeros, and a check
 * goes over all bytes of all slots whatever it finds on the way. */
#define _GNU_SOURCE
#include "api/base/auth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"

#define FILE_BYTES_MAX (1u << 20)

struct slot {
    char bytes[AUTH_KEY_BYTES_MAX]; /* zeros behind the key */
};

struct auth {
    struct slot *slots; /* [n], owned */
    size_t n;
};

static int add_key(struct auth *a, const char *key, size_t n, const char *where,
                   struct err *err)
{
    if (n > AUTH_KEY_BYTES_MAX)
        return err_set(err, ERR_INVALID,
                       "a key in %s has %zu bytes, more than "
                       "the %u accepted",
                       where, n, AUTH_KEY_BYTES_MAX);
    if (a->n == AUTH_KEYS_MAX)
        return err_set(err, ERR_INVALID, "%s holds more than %u keys", where,
                       AUTH_KEYS_MAX);
    struct slot *slots = mem_realloc_array(a->slots, a->n + 1, sizeof *slots);
    if (slots == NULL)
        return err_nomem(err, "the API keys");
    a->slots = slots;
    memset(&slots[a->n], 0, sizeof *slots);
    memcpy(slots[a->n++].bytes, key, n);
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Keys between `separator`s, blanks around them dropped; with `comments`, a
 * piece that starts with # is none. */
static int add_keys(struct auth *a, const char *text, size_t n, char separator,
                    bool comments, const char *where, struct err *err)
{
    const char *end = text + n;
    int rc = 0;
    while (rc == 0 && text < end) {
        const char *stop = memchr(text, separator, (size_t)(end - text));
        const char *next = stop != NULL ? stop + 1 : end;
        if (stop == NULL)
            stop = end;
        while (text < stop && is_blank(*text))
            text++;
        while (stop > text && is_blank(stop[-1]))
            stop--;
        if (stop > text && !(comments && *text == '#'))
            rc = add_key(a, text, (size_t)(stop - text), where, err);
        text = next;
    }
    return rc;
}

static int add_file(struct auth *a, const char *path, struct err *err)
{
    struct buf b = {0};
    buf_init(&b, FILE_BYTES_MAX);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return err_errno(err, "open", path);
    char piece[4096];
    size_t got;
    while ((got = fread(piece, 1, sizeof piece, f)) > 0)
        buf_put(&b, piece, got);
    int rc = 0;
    if (ferror(f))
        rc = err_errno(err, "read", path);
    else if (!buf_ok(&b))
        rc = err_set(err, ERR_LIMIT, "%s has more than %u bytes", path,
                     FILE_BYTES_MAX);
    fclose(f);
    size_t before = a->n;
    if (rc == 0)
        rc = add_keys(a, buf_str(&b), b.len, '\n', true, path, err);
    /* An empty file must not open the door that it was meant to lock. */
    if (rc == 0 && a->n == before)
        rc = err_set(err, ERR_FORMAT, "%s holds no key", path);
    memset(piece, 0, sizeof piece);
    buf_deinit(&b);
    return rc;
}

int auth_new(struct auth **out, const char *keys, const char *file,
             struct err *err)
{
    struct auth *a = mem_calloc(1, sizeof *a);
    int rc = a != NULL ? 0 : err_nomem(err, "the API keys");
    if (rc == 0 && keys != NULL && *keys != '\0')
        rc = add_keys(a, keys, strlen(keys), ',', false, "api-key", err);
    if (rc == 0 && file != NULL && *file != '\0')
        rc = add_file(a, file, err);
    if (rc != 0) {
        auth_free(a);
        return rc;
    }
    *out = a;
    return 0;
}

void auth_free(struct auth *a)
{
    if (a == NULL)
        return;
    mem_free(a->slots);
    mem_free(a);
}

bool auth_required(const struct auth *a)
{
    return a->n > 0;
}

static bool is_known(const struct auth *a, const char *key)
{
    struct slot given = {{0}};
    size_t n = strlen(key);
    unsigned known = 0;
    if (n == 0 || n > sizeof given.bytes)
        return false;
    memcpy(given.bytes, key, n);
    for (size_t i = 0; i < a->n; i++) {
        volatile unsigned char differs = 0; /* no early way out */
        for (size_t j = 0; j < sizeof given.bytes; j++)
            differs = (unsigned char)(differs |
                                      (given.bytes[j] ^ a->slots[i].bytes[j]));
        known |= differs == 0;
    }
    return known != 0;
}

const char *auth_presented(const char *authorization, const char *x_api_key)
{
    const char *key = authorization;
    if (key == NULL || strncasecmp(key, "Bearer ", 7) != 0)
        return x_api_key;
    for (key += 7; *key == ' '; key++)
        continue;
    return key;
}

int auth_check(const struct auth *a, const char *authorization,
               const char *x_api_key, struct err *err)
{
    const char *key = auth_presented(authorization, x_api_key);
    if (!auth_required(a))
        return 0;
    if (key == NULL)
        return err_set(err, ERR_AUTH,
                       "an API key is needed: send "
                       "\"Authorization: Bearer KEY\"");
    if (!is_known(a, key))
        return err_set(err, ERR_AUTH, "the API key is not known here");
    return 0;
}
