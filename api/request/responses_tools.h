/* responses_tools.h -- the tools of a response, as those of a chat.
 *
 * A function lies flat here ({"type", "name", "parameters"}) and one level
 * deeper there ({"type", "function": {...}}); the same where tool_choice points
 * at one.  Tools that OpenAI's own servers run (web_search, file_search, mcp,
 * ...) and `custom` ones, whose input is free text, are refused by name: the
 * model can only ask for functions.
 *
 * Pool thread; pure. */
#ifndef LFMD_API_REQUEST_RESPONSES_TOOLS_H
#define LFMD_API_REQUEST_RESPONSES_TOOLS_H

#include "model/base/err.h"
#include "model/base/json.h"

/* Sets `tools` and `tool_choice` of `chat` from those of `body`, where they are
 * given; puts into `echo` what the answer repeats of them. */
int responses_tools(json_t *chat, json_t *echo, const json_t *body,
                    struct err *err);

#endif
