#!/usr/bin/env python3
"""What llama-server's tests start instead of llama-server.

Reads its flags, says them in lfmd's words and becomes lfmd, on the checkpoint
that LFMD_PEER_MODEL names.  Flags without a meaning here are left out; a flag
nobody knows is an error, so that none is missed.
"""
import os
import sys

SAME = {"--port", "--host", "--alias", "--api-key", "--chat-template-file"}
WITH_VALUE = {  # and without a counterpart
    "--temp", "--seed", "--model", "--hf-repo", "--hf-file", "--batch-size",
    "--ubatch-size", "--threads", "--n-gpu-layers", "-ctk", "-ctv", "-fa",
    "--cache-ram", "--reasoning-format", "--reasoning", "--spec-type",
    "--spec-draft-n-min", "--chat-template", "--n-predict",
}
ALONE = {
    "--offline", "--cont-batching", "--jinja", "--no-jinja", "--metrics",
    "--slots", "--no-slots", "--kv-unified", "--no-ui", "--swa-full",
    "--embedding", "--no-cache-idle-slots", "--verbose",
}


def translate(argv):
    """lfmd's arguments.  llama-server's slots share its context; lfmd's
    --ctx-size is that of one request."""
    out, n_ctx, n_slots, unified = [], 0, 1, "--kv-unified" in argv
    rest = iter(argv)
    for flag in rest:
        if flag in SAME:
            out += [flag, next(rest)]
        elif flag == "--ctx-size":
            n_ctx = int(next(rest))
        elif flag == "--parallel":
            n_slots = int(next(rest))
            out += ["--parallel", str(n_slots)]
        elif flag == "--spec-draft-n-max":
            out += ["--draft-max", next(rest)]
        elif flag == "--cors-origins":
            out += ["--cors-origin", next(rest)]
        elif flag in WITH_VALUE:
            next(rest)
        elif flag not in ALONE:
            sys.exit(f"llama_shim: what is {flag}?")
    if n_ctx:
        out += ["--ctx-size", str(n_ctx if unified else n_ctx // n_slots)]
    return out


if __name__ == "__main__":
    lfmd = os.environ["LFMD_PEER_BINARY"]
    os.execv(lfmd, [lfmd, "--model", os.environ["LFMD_PEER_MODEL"],
                    "--log-level", "warn", *translate(sys.argv[1:])])
