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
 * Calls are told while the model writes them: the name when its first argument
 * begins, then ever more of the arguments, the insides of strings included;
 * joined they are a prefix of one JSON object at any time (pycall.h).
 *
 * No input is an error, and what was told is never taken back.  A call block
 * of which nothing can be read as a call becomes text, markers included; where
 * one stops being readable behind that, the call at hand is closed where it
 * stands and the rest is text.  A block ends at its end marker, at the next
 * start marker, or with the stream: LFM2 forgets the marker.  Where the stream
 * was cut, by max_tokens say, a call that is not complete is left as it is: as
 * with OpenAI its arguments stay the prefix that was written, there is no END,
 * and nobody acts on half of it; if it had not begun yet, what there is of it
 * is text, without the start marker.
 *
 * White space is trimmed inside the think tags, after them, and around call
 * blocks, as llama.cpp and vLLM do; text that goes on after a call starts on a
 * new line.  A call said once more without its start marker, which LFM2 does,
 * is dropped; for that, what reads as a call behind a block is held back.  A
 * list of calls without any marker is text: the names that could tell it from
 * prose are not known here.
 *
 * It knows no tokens, no JSON schema and no OpenAI.  One thread at a time. */
#ifndef LFMD_MODEL_DIALECT_SPEECH_H
#define LFMD_MODEL_DIALECT_SPEECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/buf.h"
#include "model/dialect/pycall.h"

enum speech_kind {
    SPEECH_TEXT,       /* bytes of the answer */
    SPEECH_REASONING,  /* bytes of the thoughts */
    SPEECH_CALL_BEGIN, /* a call opens; the bytes are its whole name */
    SPEECH_CALL_ARGS,  /* more bytes of its arguments */
    SPEECH_CALL_END    /* they are a JSON object now; no bytes */
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

/* What may be an echo is held back; when it is longer it is text. */
#define SPEECH_ECHO_MAX (1u << 20)

/* Embedded by its owner; every field is private to speech.c. */
struct speech {
    struct speech_options options;
    speech_fn *on; /* borrowed, with user */
    void *user;
    struct buf held;    /* a prefix of a marker */
    struct buf space;   /* white space that may yet be trimmed */
    struct buf echo;    /* what may be an echo */
    struct pycall call; /* reads the open block */
    uint8_t state;
    bool trim_next;  /* drop white space before the next text */
    bool said_text;  /* some text went out */
    bool resumes;    /* the next text is a paragraph of its own */
    bool after_call; /* nothing but white space since a call block */
    bool muted;      /* the call at hand is one too many */
    uint32_t n_calls;
};

/* Cannot fail and takes no memory.  `s` must stay where it is. */
void speech_init(struct speech *s, const struct speech_options *options,
                 speech_fn *on, void *user);
void speech_deinit(struct speech *s);

/* 0, or -ERR_NOMEM; events arrive from inside.  What can be told is told
 * before it returns.  Costs time linear in n. */
int speech_feed(struct speech *s, const char *bytes, size_t n);

/* The stream has ended: tells what was held back.  With `cut` it was not the
 * model who ended it. */
int speech_finish(struct speech *s, bool cut);

#endif
