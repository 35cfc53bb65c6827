/* speech.h -- what the model says, told apart: text, thoughts, tool calls.
 *
 * A byte stream goes in, events come out.  Where the stream is cut changes
 * neither the kinds nor the bytes that are told, only into how many events of
 * one kind they fall.  Bytes that may still turn out to be a marker, or white
 * space that would be trimmed, are held back; nothing else is.
 *
 *     <think>\nHm.\n</think>\n\nLet me look.<|tool_call_start|>[f(a=1)]
 *     <|tool_call_end|>
 *
 *     REASONING "Hm."  TEXT "Let me look."
 *     CALL_BEGIN "f"  CALL_ARGS "{\"a\": 1}"  CALL_END ""
 *
 * No input is an error: a call block that cannot be read becomes text, markers
 * included; one that the end of the stream cuts, without its marker.  White
 * space is trimmed inside the think tags, after them, and around call blocks,
 * as llama.cpp and vLLM do; text that goes on after a call starts on a new
 * line.  A call said once more without its start marker, which LFM2 does, is
 * dropped.
 *
 * It knows no tokens, no JSON schema and no OpenAI.  One thread at a time. */
#ifndef LFMD_MODEL_DIALECT_SPEECH_H
#define LFMD_MODEL_DIALECT_SPEECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/buf.h"

enum speech_kind {
    SPEECH_TEXT,       /* bytes of the answer */
    SPEECH_REASONING,  /* bytes of the thoughts */
    SPEECH_CALL_BEGIN, /* a call opens; the bytes are its whole name */
    SPEECH_CALL_ARGS,  /* bytes of its arguments, a JSON object in all */
    SPEECH_CALL_END    /* the call is complete; no bytes */
};

/* `bytes` are valid during the call only; never n == 0 except for CALL_END.
 * If the stream is valid UTF-8, text and reasoning may still be cut inside a
 * code point only where the caller's own pieces were. */
typedef void speech_fn(void *user, enum speech_kind kind, const char *bytes,
                       size_t n);

struct speech_options {
    bool reasoning;    /* <think> at the start of the answer means something */
    bool in_reasoning; /* the prompt ended inside <think> */
    bool resumes;      /* ... and inside the thought's text: the first white
                          space is part of it */
    bool after_think;  /* the prompt ended behind </think>: it is not */
    bool calls;        /* tools are in play: read call blocks */
    bool single_call;  /* parallel_tool_calls is false: tell the first only */
    bool keep_markers; /* with !calls: leave call markers in the text
                          (skip_special_tokens is false) */
};

#define SPEECH_CALL_BYTES_MAX (1u << 20) /* a longer block becomes text */

/* Embedded by its owner; every field is private to speech.c. */
struct speech {
    struct speech_options options;
    speech_fn *on; /* borrowed, with user */
    void *user;
    struct buf held;  /* a prefix of a marker, or a whole call block */
    struct buf space; /* white space that may yet be trimmed */
    uint8_t state;
    bool trim_next;  /* drop white space before the next text */
    bool said_text;  /* some text went out */
    bool resumes;    /* the next text is a paragraph of its own */
    bool after_call; /* nothing but white space since a call block */
    uint32_t n_calls;
};

/* Cannot fail and takes no memory. */
void speech_init(struct speech *s, const struct speech_options *options,
                 speech_fn *on, void *user);
void speech_deinit(struct speech *s);

/* 0, or -ERR_NOMEM; events arrive from inside. */
int speech_feed(struct speech *s, const char *bytes, size_t n);

/* The stream has ended: tells what was held back.  A call block without its
 * end marker is read as if it had one. */
int speech_finish(struct speech *s);

uint32_t speech_calls(const struct speech *s); /* complete calls told */

#endif
