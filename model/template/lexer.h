/* lexer.h -- characters to tokens; white space control is here and only here.
 *
 * Follows jinja2's lexer with trim_blocks and lstrip_blocks: the text between
 * tags comes out as it will be printed, comments and raw tags are gone. */
#ifndef LFMD_MODEL_TEMPLATE_LEXER_H
#define LFMD_MODEL_TEMPLATE_LEXER_H

#include <stddef.h>
#include <stdint.h>

#include "model/base/arena.h"
#include "model/base/err.h"
#include "model/template/value.h"

enum token_kind {
    TOKEN_EOF,
    TOKEN_DATA, /* value */
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_PRINT_BEGIN,
    TOKEN_PRINT_END,
    TOKEN_NAME,   /* value: string */
    TOKEN_STRING, /* value */
    TOKEN_INT,    /* value */
    TOKEN_FLOAT,  /* value */
    TOKEN_ADD,
    TOKEN_SUB,
    TOKEN_MUL,
    TOKEN_DIV,
    TOKEN_FLOORDIV,
    TOKEN_MOD,
    TOKEN_POW,
    TOKEN_TILDE,
    TOKEN_LBRACKET,
    TOKEN_RBRACKET,
    TOKEN_LPAREN,
    TOKEN_RPAREN,
    TOKEN_LBRACE,
    TOKEN_RBRACE,
    TOKEN_EQ,
    TOKEN_NE,
    TOKEN_GT,
    TOKEN_GE,
    TOKEN_LT,
    TOKEN_LE,
    TOKEN_ASSIGN,
    TOKEN_DOT,
    TOKEN_COLON,
    TOKEN_PIPE,
    TOKEN_COMMA,
    TOKEN_SEMICOLON
};

struct token {
    enum token_kind kind;
    uint32_t line, column; /* from 1 */
    struct value value;
};

/* All of src[0..n) (valid UTF-8); the array ends with TOKEN_EOF and lives in
 * `a`.  -ERR_FORMAT with the place, or -ERR_NOMEM. */
int lexer_run(struct arena *a, const char *src, size_t n, struct token **out,
              struct err *err);

/* As it is written, for messages. */
const char *token_describe(enum token_kind kind);

#endif
