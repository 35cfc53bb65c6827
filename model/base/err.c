/* err.c -- see err.h.  Text that does not fit ends in "...". */
#include "model/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LEAST_CONTEXT ((size_t)80)
#define LEAST_REASON ((size_t)160)

__attribute__((format(printf, 2, 0))) static void
put_text(struct err *err, const char *fmt, va_list ap)
{
    int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    if (n >= (int)sizeof err->text)
        memcpy(err->text + sizeof err->text - 4, "...", 4);
}

int err_set(struct err *err, enum err_class class_, const char *fmt, ...)
{
    if (err == NULL)
        return -(int)class_;
    va_list ap;
    va_start(ap, fmt);
    err->class_ = class_;
    err->param[0] = '\0';
    put_text(err, fmt, ap);
    va_end(ap);
    return -(int)class_;
}

int err_field(struct err *err, const char *param, const char *fmt, ...)
{
    if (err == NULL)
        return -ERR_INVALID;
    va_list ap;
    va_start(ap, fmt);
    err->class_ = ERR_INVALID;
    snprintf(err->param, sizeof err->param, "%s", param);
    put_text(err, fmt, ap);
    va_end(ap);
    return -ERR_INVALID;
}

int err_too_long(struct err *err, size_t n_tokens, size_t n_ctx)
{
    if (err != NULL) {
        err->class_ = ERR_CONTEXT;
        err->n_tokens = (uint32_t)n_tokens;
        err->n_ctx = (uint32_t)n_ctx;
    }
    return -ERR_CONTEXT;
}

/* Cuts what goes in front, but not below LEAST_CONTEXT, where it and what
 * follows do not fit together: the reason is worth more than the place. */
static size_t cut_context(struct err *err, size_t n_reason)
{
    size_t used = strlen(err->text);
    size_t room = sizeof err->text - sizeof ": ";
    size_t keep = n_reason < room ? room - n_reason : 0;
    keep = keep > LEAST_CONTEXT ? keep : LEAST_CONTEXT;
    if (used <= keep)
        return used;
    memcpy(err->text + keep - 3, "...", 4);
    return keep;
}

/* At most `room` characters of a sentence: its end, which says why, stays. */
static void cut_middle(char *text, size_t room)
{
    size_t n = strlen(text);
    if (n <= room)
        return;
    char *cut = text + room - LEAST_REASON - 3;
    memcpy(cut, "...", 3);
    memmove(cut + 3, text + n - LEAST_REASON, LEAST_REASON + 1);
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    if (err == NULL)
        return -ERR_INTERNAL;
    char inner[sizeof err->text];
    memcpy(inner, err->text, sizeof inner);

    va_list ap;
    va_start(ap, fmt);
    put_text(err, fmt, ap);
    va_end(ap);

    size_t used = cut_context(err, strlen(inner));
    cut_middle(inner, sizeof err->text - used - sizeof ": ");
    snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
    return -(int)err->class_;
}

int err_nomem(struct err *err, const char *what)
{
    return err_set(err, ERR_NOMEM, "out of memory for %s", what);
}

int err_errno(struct err *err, const char *doing, const char *path)
{
    int code = errno;
    return err_set(err, ERR_IO, "cannot %s %.500s: %s", doing, path,
                   strerror(code));
}
