/* responses.c -- what there is beside POST /v1/responses: nothing is kept, so
 * there is no response to get, cancel or delete. */
#include "api/api_state.h"
#include "api/error.h"

void api_no_response(struct exchange *ex, void *user)
{
    struct err err = {0};
    (void)user;
    err_set(&err, ERR_NOT_FOUND,
            "there is no such response: this server is stateless and keeps "
            "none");
    error_reply(ex, &err);
}
