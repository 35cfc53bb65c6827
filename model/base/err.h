/* err.h -- an error is a class and a sentence that grows as it rises.
 *
 * A function that can fail takes a `struct err *` as its last argument and
 * returns 0 or the negative class.  Whoever passes the error on may put its own
 * context in front:
 *
 *     cannot load the model in /models/x: layer 7: experts.31.w1 is [1792,
 * 2048], but config.json says [1536, 2048]
 *
 * Classes say what the *caller* can do about it; api/base/error.c maps them to
 * HTTP. No allocation, any thread; `err` may be NULL when nobody will read it.
 */
#ifndef LFMD_MODEL_BASE_ERR_H
#define LFMD_MODEL_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

enum err_class {
    ERR_NONE = 0,
    ERR_NOMEM,       /* memory was short */
    ERR_INVALID,     /* the request or argument is wrong; `param` may name it */
    ERR_FORMAT,      /* a file does not say what it should */
    ERR_IO,          /* the operating system refused */
    ERR_LIMIT,       /* correct, but larger than we accept */
    ERR_CONTEXT,     /* does not fit the model's context */
    ERR_BUSY,        /* queue full: try again later */
    ERR_UNAVAILABLE, /* loading or draining */
    ERR_NOT_FOUND,   /* no such thing (route, model) */
    ERR_AUTH,        /* key missing or wrong */
    ERR_UNSUPPORTED, /* well formed, not something we do */
    ERR_INTERNAL     /* our fault */
};

struct err {
    enum err_class class_;
    char
        param[64]; /* path of the offending field ("messages[2].role"), or "" */
    char text[640]; /* one sentence, no newline; cut with "..." when longer */
    uint32_t n_tokens, n_ctx; /* ERR_CONTEXT: a prompt's, and what the context
                                 holds; 0 is not told */
};

/* Sets class and text; returns -class, so `return err_set(...)` reads well. */
int err_set(struct err *err, enum err_class class_, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes what err_field said an ERR_CONTEXT of so many tokens. */
int err_too_long(struct err *err, size_t n_tokens, size_t n_ctx);

/* As err_set with ERR_INVALID, naming the field that is wrong. */
int err_field(struct err *err, const char *param, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the text; returns -class of what is there. Where
 * both do not fit, the context is cut first. */
int err_wrap(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Sets ERR_NOMEM; `what` is a noun phrase ("the request body"). */
int err_nomem(struct err *err, const char *what);

/* Sets ERR_IO from errno: "cannot <doing> <path>: <strerror>". */
int err_errno(struct err *err, const char *doing, const char *path);

#endif
