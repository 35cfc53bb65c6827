/* test_speech.c -- what is told must not depend on where the bytes are cut, nor
 * wait longer than it has to. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/err.h"
#include "model/base/json.h"
#include "model/dialect/speech.h"

#define S "<|tool_call_start|>"
#define E "<|tool_call_end|>"

static const struct speech_options tools_and_thoughts = {
    .reasoning = true,
    .calls = true,
};
static const struct speech_options thoughts = {.reasoning = true};
static const struct speech_options plain = {0};

/* Events as one line: T:...| R:...| C:name| A:...| E:|, runs of one kind
 * joined, as a client would.  A call that was not over has no E. */
struct record {
    struct buf line;
    struct buf args; /* of the call at hand */
    int last;
};

static void on_event(void *user, enum speech_kind kind, const char *bytes,
                     size_t n)
{
    struct record *r = user;
    static const char letters[] = "TRCAE";
    assert_true(n > 0 || kind == SPEECH_CALL_END);
    if (r->last != (int)kind) {
        if (r->last >= 0 && r->last != SPEECH_CALL_END)
            buf_putc(&r->line, '|');
        buf_putc(&r->line, letters[kind]);
        buf_putc(&r->line, ':');
    }
    buf_put(&r->line, bytes, n);
    r->last = (int)kind;
    if (kind == SPEECH_CALL_BEGIN)
        buf_clear(&r->args);
    if (kind == SPEECH_CALL_ARGS)
        buf_put(&r->args, bytes, n);
    if (kind != SPEECH_CALL_END)
        return;
    buf_putc(&r->line, '|');
    json_t *v;
    assert_int_equal(json_parse(&v, buf_str(&r->args), r->args.len,
                                JSON_DEPTH_DEFAULT, JSON_NODES_DEFAULT, NULL),
                     0);
    assert_true(json_is_object(v));
    json_decref(v);
}

/* Says `text` in pieces, pieces[] ends with 0 or the text does.  The line only
 * grows, so lines that end alike were at any time prefixes of it. */
static void run(const struct speech_options *o, const char *text, size_t n,
                const size_t *pieces, bool cut, const char *expected)
{
    struct record r = {.last = -1};
    struct speech s;
    speech_init(&s, o, on_event, &r);
    for (size_t i = 0; i < n;) {
        size_t piece = *pieces != 0 && *pieces < n - i ? *pieces : n - i;
        assert_int_equal(speech_feed(&s, text + i, piece), 0);
        i += piece;
        pieces += *pieces != 0;
    }
    assert_int_equal(speech_finish(&s, cut), 0);
    speech_deinit(&s);
    if (r.last >= 0 && r.last != SPEECH_CALL_END)
        buf_putc(&r.line, '|');
    assert_string_equal(buf_str(&r.line), expected);
    buf_deinit(&r.line);
    buf_deinit(&r.args);
}

#define TEXT_MAX 2048u
#define N_RANDOM 50

/* Whole, every cut in two, byte by byte, at random. */
static void check_bytes(const struct speech_options *o, const char *text,
                        size_t n, bool cut, const char *expected)
{
    size_t pieces[TEXT_MAX + 1] = {0};
    uint32_t seed = 1;
    assert_true(n <= TEXT_MAX);
    run(o, text, n, pieces, cut, expected);
    for (size_t i = 1; i < n; i++) {
        pieces[0] = i;
        run(o, text, n, pieces, cut, expected);
    }
    for (int round = 0; round <= N_RANDOM; round++) {
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            pieces[i] = round == 0 ? 1 : 1 + (seed >> 16) % 20;
        }
        run(o, text, n, pieces, cut, expected);
    }
}

static void check(const struct speech_options *o, const char *text,
                  const char *expected)
{
    check_bytes(o, text, strlen(text), false, expected);
}

static void check_cut(const struct speech_options *o, const char *text,
                      const char *expected)
{
    check_bytes(o, text, strlen(text), true, expected);
}

#define S "<|tool_call_start|>"
#define E "<|tool_call_end|>"

/* After each piece: what was told by it; at last, by the end. */
static void follow(const char *const (*steps)[2], const char *end)
{
    struct record r = {.last = -1};
    struct speech s;
    speech_init(&s, &tools_and_thoughts, on_event, &r);
    for (; (*steps)[0] != NULL; steps++) {
        assert_int_equal(speech_feed(&s, (*steps)[0], strlen((*steps)[0])), 0);
        assert_string_equal(buf_str(&r.line), (*steps)[1]);
        buf_clear(&r.line);
    }
    assert_int_equal(speech_finish(&s, true), 0);
    assert_string_equal(buf_str(&r.line), end);
    speech_deinit(&s);
    buf_deinit(&r.line);
    buf_deinit(&r.args);
}

TEST(plain_text_passes_through_verbatim)
{
    UNUSED_STATE;
    check(&plain, "", "");
    check(&plain, "Hello\nWorld  ", "T:Hello\nWorld  |");
    check(&plain, "  a < b <| c <think> d\n", "T:  a < b <| c <think> d\n|");
    check(&tools_and_thoughts, "Hello, <b>you</b>!  ",
          "T:Hello, <b>you</b>!  |");
    check(&tools_and_thoughts, " \n ", "T: \n |");
    check(&tools_and_thoughts, "h\xc3\xa9 \xf0\x9f\x98\x80 <",
          "T:h\xc3\xa9 \xf0\x9f\x98\x80 <|");
}

TEST(thoughts_are_told_apart_and_trimmed)
{
    UNUSED_STATE;
    check(&thoughts, "<think>I'm thinking</think>Hello",
          "R:I'm thinking|T:Hello|");
    check(&thoughts, "\n<think>\nI am.\n\nTwice.\n</think>\n\nHello  you ",
          "R:I am.\n\nTwice.|T:Hello  you |");
    check(&thoughts, "<think></think>\nHello", "T:Hello|");
    check(&thoughts, "<think>\n\n</think>\n\n", "");
    check(&thoughts, "<think>never closed </thin", "R:never closed </thin|");
    check(&thoughts, "Hi <think>no</think>", "T:Hi <think>no</think>|");
    check(&thoughts, "<think>a <think> b</think>c", "R:a <think> b|T:c|");
}

TEST(a_prompt_that_opened_the_thoughts_starts_inside)
{
    UNUSED_STATE;
    struct speech_options o = {.reasoning = true, .in_reasoning = true};
    check(&o, "\nHm.\n</think>\nYes", "R:Hm.|T:Yes|");
    check(&o, "cut short", "R:cut short|");
    check(&o, " \n so", "R:so|");
    o.resumes = true;
    check(&o, " \n so</think> \nYes", "R: \n so|T:Yes|");
    check(&o, " </think>Yes", "T:Yes|");
}

TEST(behind_a_closed_thought_no_white_space_is_told)
{
    UNUSED_STATE;
    struct speech_options o = {.reasoning = true, .after_think = true};
    check(&o, "\n\nYes, \n", "T:Yes, \n|");
    check(&o, " <think>Hm</think> Yes", "R:Hm|T:Yes|");
    o.calls = true;
    check(&o, "\n" S "[g()]" E, "C:g|A:{}|E:|");
    check(&thoughts, "\n\nYes", "T:\n\nYes|");
}

TEST(calls_are_read)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, S "[special_function(arg1=1)]" E,
          "C:special_function|A:{\"arg1\": 1}|E:|");
    check(&tools_and_thoughts, "Hello\n " S "[f(a='x', n=5), g()]" E "\nBye\n",
          "T:Hello|C:f|A:{\"a\": \"x\", \"n\": 5}|E:|C:g|A:{}|E:|T:\nBye\n|");
    check(&tools_and_thoughts,
          "<think>Let me.</think>\n" S
          "[Calendar.create_event(when=\"now\")]" E,
          "R:Let me.|C:Calendar.create_event|A:{\"when\": \"now\"}|E:|");
    check(&tools_and_thoughts, S "[a()]" E S "[b()]" E,
          "C:a|A:{}|E:|C:b|A:{}|E:|");
}

TEST(text_after_a_call_is_kept)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, S "[f()]" E "\nDone.", "C:f|A:{}|E:|T:Done.|");
    check(&tools_and_thoughts, S "[f()]" E " [1] is a <note>. ",
          "C:f|A:{}|E:|T:[1] is a <note>. |");
    check(&tools_and_thoughts,
          "Use [link](url). " S " [f()]" E "\n\n" S "[g()]" E "So.",
          "T:Use [link](url).|C:f|A:{}|E:|C:g|A:{}|E:|T:\nSo.|");
}

TEST(an_echo_of_a_call_is_dropped)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, S "[f(a=1)]" E "[f(a=1)]" E,
          "C:f|A:{\"a\": 1}|E:|");
    check(&tools_and_thoughts, S "[f()]" E "\n[f()]" E "[f()]" E " Bye",
          "C:f|A:{}|E:|T:Bye|");
    check(&tools_and_thoughts, S "[f()]" E "[x] " S "[g()]" E,
          "C:f|A:{}|E:|T:[x]|C:g|A:{}|E:|");
}

TEST(prose_in_brackets_is_not_held_for_an_echo)
{
    UNUSED_STATE;
    static const char *const steps[][2] = {
        {S "[f()]" E " \n", "C:f|A:{}|E:|"},
        {"[", ""},
        {"see", ""},
        {"]", "T:[see]"},
        {"(url) ", "(url)"},
        {NULL, NULL},
    };
    follow(steps, " ");
    check(&tools_and_thoughts, S "[f()]" E "[f(a='b", "C:f|A:{}|E:|T:[f(a='b|");
    check(&tools_and_thoughts, S "[f()]" E "[f(a='b" E "c", "C:f|A:{}|E:|T:c|");
}

TEST(json_calls_are_read_too)
{
    UNUSED_STATE;
    check(&tools_and_thoughts,
          S "[{\"name\":\"f\",\"arguments\":{\"a\":[1,null]}}]" E,
          "C:f|A:{\"a\": [1, null]}|E:|");
}

TEST(a_missing_end_marker_is_tolerated)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, S "[f(a=1)]", "C:f|A:{\"a\": 1}|E:|");
    check(&tools_and_thoughts, S "[f(a='x')]\nDone.",
          "C:f|A:{\"a\": \"x\"}|E:|T:Done.|");
    check(&tools_and_thoughts, S "[f(a=1)]" S "[g()]" E "So.",
          "C:f|A:{\"a\": 1}|E:|C:g|A:{}|E:|T:So.|");
    check(&tools_and_thoughts, S "[f(a=1)]<|tool_ca",
          "C:f|A:{\"a\": 1}|E:|T:<|tool_ca|");
    check(&tools_and_thoughts, S "[f(a='x'", "C:f|A:{\"a\": \"x\"}|E:|");
    check(&tools_and_thoughts, S "[f(a=[1, {'k': 'x",
          "C:f|A:{\"a\": [1, {\"k\": \"x\"}]}|E:|");
    check(&tools_and_thoughts, S "[f(a=1", "T:" S "[f(a=1|");
}

TEST(a_call_that_the_reply_cuts_is_not_over)
{
    UNUSED_STATE;
    check_cut(&tools_and_thoughts, "x " S "[f(a=", "T:x [f(a=|");
    check_cut(&tools_and_thoughts, "x " S "[f(a='rm -rf /tm",
              "T:x|C:f|A:{\"a\": \"rm -rf /tm|");
    check_cut(&tools_and_thoughts, S "[f(), g(a=[1, 2, {'b': Tr",
              "C:f|A:{}|E:|C:g|A:{\"a\": [1, 2|");
    check_cut(&tools_and_thoughts, S "[f(a='x'), g(",
              "C:f|A:{\"a\": \"x\"}|E:|T:g(|");
    check_cut(&tools_and_thoughts, S "[f(a=1", "T:[f(a=1|");
    check_cut(&tools_and_thoughts, S "[f(a='x')", "C:f|A:{\"a\": \"x\"}|E:|");
    check_cut(&tools_and_thoughts, S "[f(a=[1, 2", "C:f|A:{\"a\": [1|");
    check_cut(&tools_and_thoughts, S, "");
}

TEST(what_is_no_call_becomes_text)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, "So: " S "not a call" E " ok",
          "T:So: " S "not a call" E " ok|");
    check(&tools_and_thoughts, S E, "T:" S E "|");
    check(&tools_and_thoughts, S "[ ]" E, "T:" S "[ ]" E "|");
    check(&tools_and_thoughts, S "bash(command)" E,
          "T:" S "bash(command)" E "|");
    check(&tools_and_thoughts, S "[f('Oslo', unit='c')]" E,
          "T:" S "[f('Oslo', unit='c')]" E "|");
    check(&tools_and_thoughts, S "a" S "b" E "[c]" E,
          "T:" S "a" S "b" E "[c]|");
    check(&tools_and_thoughts, "a" E "b", "T:ab|");
}

TEST(what_follows_half_a_call_becomes_text)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, S "[f(a='x', b=1 c=2)]" E " Bye",
          "C:f|A:{\"a\": \"x\"}|E:|T:b=1 c=2)] Bye|");
    check(&tools_and_thoughts, "Hi" S "[f(a='x), g(b=2)]" E "Bye",
          "T:Hi|C:f|A:{\"a\": \"x), g(b=2)]\"}|E:|T:\nBye|");
    check(&tools_and_thoughts, S "[f(a='x'), g('y')]" E S "[h()]" E,
          "C:f|A:{\"a\": \"x\"}|E:|T:g('y')]|C:h|A:{}|E:|");
    check(&tools_and_thoughts, S "[f(a='x', b=[1] 2)]" E,
          "C:f|A:{\"a\": \"x\", \"b\": [1]}|E:|T:2)]|");
}

/* What vLLM's, SGLang's, llama.cpp's and Ollama's tests of LFM2 are about, in
 * inputs of our own. */
static const struct {
    const char *said, *told;
} golden[] = {
    /* vLLM */
    {"Nothing to look up here.", "T:Nothing to look up here.|"},
    {S "[track(parcel='00042')]" E, "C:track|A:{\"parcel\": \"00042\"}|E:|"},
    {S "[add(who='Ada L', born=1815, at={'town': 'London', \"no\": 12}, "
       "boss=None, paid=False, tags=['a', \"b\"])]" E,
     "C:add|A:{\"who\": \"Ada L\", \"born\": 1815, \"at\": {\"town\": "
     "\"London\", \"no\": 12}, \"boss\": null, \"paid\": false, \"tags\": "
     "[\"a\", \"b\"]}|E:|"},
    {S "[ping()]" E, "C:ping|A:{}|E:|"},
    {S "[tune(more={}, less=[])]" E,
     "C:tune|A:{\"more\": {}, \"less\": []}|E:|"},
    {S "[mark(as={'new', 'hot'})]" E,
     "C:mark|A:{\"as\": [\"new\", \"hot\"]}|E:|"},
    {S "[on(month=07, day=05, hour=00)]" E,
     "C:on|A:{\"month\": 7, \"day\": 5, \"hour\": 0}|E:|"},
    {S "[sh(cmd='awk '{print $2}' /var/log/x')]" E,
     "C:sh|A:{\"cmd\": \"awk '{print $2}' /var/log/x\"}|E:|"},
    {S "[sh(cmd='cd /w && python3 -c \"import a\nprint(a.b(c, d='\\.'))\"')]" E,
     "C:sh|A:{\"cmd\": \"cd /w && python3 -c \\\"import a\\nprint(a.b(c, "
     "d='\\\\.'))\\\"\"}|E:|"},
    {S "[at(place='Land\\'s End', as='\\\"wet\\\"')]" E,
     "C:at|A:{\"place\": \"Land's End\", \"as\": \"\\\"wet\\\"\"}|E:|"},
    {S "[shop.order.add(items=[{'n': 'nails', 'g': 250}], to='1 Elm St, X')]" E,
     "C:shop.order.add|A:{\"items\": [{\"n\": \"nails\", \"g\": 250}], \"to\": "
     "\"1 Elm St, X\"}|E:|"},
    {S "[sh(cmd='grep \"[)]\" a.txt')]" E,
     "C:sh|A:{\"cmd\": \"grep \\\"[)]\\\" a.txt\"}|E:|"},
    {S "[sh(cmd='cat > a << X\nb\tc\n\nX')]" E,
     "C:sh|A:{\"cmd\": \"cat > a << X\\nb\\tc\\n\\nX\"}|E:|"},
    {S "[a(x='1'), b(), c(y=[2])]" E "\nWaiting for the results.",
     "C:a|A:{\"x\": \"1\"}|E:|C:b|A:{}|E:|C:c|A:{\"y\": [2]}|E:|T:Waiting for "
     "the results.|"},
    {S "[a(x=1), bad(x=y)]" E, "C:a|A:{\"x\": 1}|E:|T:bad(x=y)]|"},
    {S " \n[ a ( x = 1 , ) , ] \n" E, "C:a|A:{\"x\": 1}|E:|"},
    {"One moment. " S "[a(x=1)]" E "\nDone.",
     "T:One moment.|C:a|A:{\"x\": 1}|E:|T:\nDone.|"},
    {S "[a.b(x=[{'n': '1'}], y='2')]" E "[a.b(x=[{'n': '1'}], y='2')]" E,
     "C:a.b|A:{\"x\": [{\"n\": \"1\"}], \"y\": \"2\"}|E:|"},
    {S "[a(x=1)]" E "\n[a(x=1)]" E "\nAll done.",
     "C:a|A:{\"x\": 1}|E:|T:All done.|"},
    /* SGLang */
    {S "[find(re='\\d+\\.')]" E, "C:find|A:{\"re\": \"\\\\d+\\\\.\"}|E:|"},
    {S "[find(q=\"who's there?\")]" E,
     "C:find|A:{\"q\": \"who's there?\"}|E:|"},
    {S "[find(q=f'all', limit=+7, from='sed -n '1,5p' a')]" E,
     "C:find|A:{\"q\": \"all\", \"limit\": 7, \"from\": \"sed -n '1,5p' "
     "a\"}|E:|"},
    {S "[{\"name\": \"a\", \"arguments\": {\"x\": \"y\"}}, "
       "{\"name\": \"b\", \"parameters\": {\"n\": [1.5, null]}}]" E,
     "C:a|A:{\"x\": \"y\"}|E:|C:b|A:{\"n\": [1.5, null]}|E:|"},
    {"Ok: " S "{\"name\":\"a\",\"arguments\":{\"x\":{\"y\":true}}}" E,
     "T:Ok:|C:a|A:{\"x\": {\"y\": true}}|E:|"},
    {S "[a(n=1e999)]" E, "T:" S "[a(n=1e999)]" E "|"},
    {S "[a(**{'q': 'x'})]" E, "T:" S "[a(**{'q': 'x'})]" E "|"},
    {S "[a(q='ok'), b(c='x 'y' 'z)]" E,
     "C:a|A:{\"q\": \"ok\"}|E:|C:b|A:{\"c\": \"x 'y' 'z)]\"}|E:|"},
    /* llama.cpp */
    {"<think>I am\nthinking</think>" S "[f(arg=1), g(arg=1, opt=2)]" E,
     "R:I am\nthinking|C:f|A:{\"arg\": 1}|E:|C:g|A:{\"arg\": 1, \"opt\": "
     "2}|E:|"},
    {"<think>A call, then.</think>The time, then." S "[now(at=\"Rome\")]" E,
     "R:A call, then.|T:The time, then.|C:now|A:{\"at\": \"Rome\"}|E:|"},
    {S "[py(code=\"def f():\\n    print('hi')\")]" E,
     "C:py|A:{\"code\": \"def f():\\n    print('hi')\"}|E:|"},
    {S "[f(t=True, u=true, n=None, v=null, r=-0.5, d={\"a\": [[]]})]" E,
     "C:f|A:{\"t\": true, \"u\": true, \"n\": null, \"v\": null, \"r\": -0.5, "
     "\"d\": {\"a\": [[]]}}|E:|"},
    /* Ollama */
    {"V\xc3\xa9rifions \xf0\x9f\x8c\x8d." S
     "[f(a='\xf0\x9f\x8c\x8d\xe5\xa4\xa9')]" E,
     "T:V\xc3\xa9rifions \xf0\x9f\x8c\x8d.|C:f|A:{\"a\": "
     "\"\xf0\x9f\x8c\x8d\xe5\xa4\xa9\"}|E:|"},
    {S "[f()]" E "Once more." S "[f()]" E,
     "C:f|A:{}|E:|T:Once more.|C:f|A:{}|E:|"},
    {"1 < 2, <b>so</b> <|tool_call_started|>\n",
     "T:1 < 2, <b>so</b> <|tool_call_started|>\n|"},
    {"As in \n\t<|tool_call_sta", "T:As in \n\t<|tool_call_sta|"},
    {S "[ask(q=\"What's up?\", of=['Hello!', 'And you?'], many=False)]" E,
     "C:ask|A:{\"q\": \"What's up?\", \"of\": [\"Hello!\", \"And you?\"], "
     "\"many\": false}|E:|"},
    {S "sh(cmd='echo \"(hi, you)\" A=b')" E,
     "C:sh|A:{\"cmd\": \"echo \\\"(hi, you)\\\" A=b\"}|E:|"},
    {S "[f(a='')]" E "<|tool_call_end|>", "C:f|A:{\"a\": \"\"}|E:|"},
    {S "f where=\"x\")" E, "T:" S "f where=\"x\")" E "|"},
};

TEST(golden_cases_of_our_peers)
{
    UNUSED_STATE;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        check(&tools_and_thoughts, golden[i].said, golden[i].told);
    static const char nul[] = S "[sh(cmd='printf a\0b')]" E;
    check_bytes(&tools_and_thoughts, nul, sizeof nul - 1, false,
                "C:sh|A:{\"cmd\": \"printf a\\u0000b\"}|E:|");
}

TEST(a_call_is_told_while_it_is_written)
{
    UNUSED_STATE;
    static const char *const python[][2] = {
        {"Hm. ", "T:Hm."},
        {S "[sh", ""},
        {"(cmd=", ""},
        {"'ls", "|C:sh|A:{\"cmd\": \"ls"},
        {" -l", " -l"},
        {" 'a", " 'a"},
        {"'", ""},
        {" b", "' b"},
        {"\\", ""},
        {"n\xc3", "\\n"},
        {"\xa9", "\xc3\xa9"},
        {"', ", ""},
        {"n=1", "\""},
        {"2, ", ", \"n\": 12"},
        {"l=[", ""},
        {"1, [", ", \"l\": [1"},
        {"], {'k", ", []"},
        {"': ", ""},
        {"'v", ", {\"k\": \"v"},
        {"'}", ""},
        {"]), g(", "\"}]}|E:|"},
        {")", "C:g|A:{}|E:|"},
        {"]" E, ""},
        {"Ok", "T:\nOk"},
        {NULL, NULL},
    };
    static const char *const json[][2] = {
        {S "[{\"name\": \"sh\", \"argu", ""},
        {"ments\": {\"cmd\": ", ""},
        {"\"l", "C:sh|A:{\"cmd\": \"l"},
        {"s", "s"},
        {"\", \"n\": ", "\""},
        {"[1,", ", \"n\": [1"},
        {"2]}}]", ", 2]}|E:|"},
        {E, ""},
        {NULL, NULL},
    };
    follow(python, "");
    follow(json, "");
}

TEST(thoughts_that_never_close_end_at_a_call)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, "<think>I call. " S "[f()]" E,
          "R:I call.|C:f|A:{}|E:|");
}

TEST(without_tools_markers_are_dropped_or_kept)
{
    UNUSED_STATE;
    struct speech_options raw = {.keep_markers = true};
    check(&plain, "a " S "[f()]" E " b", "T:a [f()] b|");
    check(&raw, "a " S "[f()]" E " b", "T:a " S "[f()]" E " b|");
}

TEST(parallel_calls_can_be_ruled_out)
{
    UNUSED_STATE;
    struct speech_options o = {.calls = true, .single_call = true};
    check(&o, S "[f(), g()]" E S "[h()]" E, "C:f|A:{}|E:|");
}

/* How much is held when `head` and then ever more x were said; all of it is
 * told in the end. */
static size_t hold(const char *head, size_t n_pieces)
{
    struct record r = {.last = -1};
    struct speech s;
    size_t most = 0;
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    speech_init(&s, &tools_and_thoughts, on_event, &r);
    assert_int_equal(speech_feed(&s, head, strlen(head)), 0);
    for (size_t i = 0; i < n_pieces; i++) {
        assert_int_equal(speech_feed(&s, piece, sizeof piece), 0);
        size_t held = s.call.tape.len + s.call.out.len + s.echo.len;
        most = held > most ? held : most;
    }
    assert_int_equal(speech_finish(&s, true), 0);
    assert_true(r.line.len > n_pieces * sizeof piece);
    speech_deinit(&s);
    buf_deinit(&r.line);
    buf_deinit(&r.args);
    return most;
}

TEST(what_is_held_is_bounded)
{
    UNUSED_STATE;
    assert_true(hold(S, 600) < 8192);
    assert_true(hold(S "[f(a='", 600) < 8192);
    assert_true(hold(S "[f(a=('", 600) < 3 * PYCALL_UNTOLD_MAX);
    assert_true(hold(S "[f(a=1, b={'", 600) < 3 * PYCALL_UNTOLD_MAX);
    assert_true(hold(S "[f()]" E "[f(a='", 600) < 2 * SPEECH_ECHO_MAX);
}

static void ignore_event(void *user, enum speech_kind kind, const char *bytes,
                         size_t n)
{
    (void)user;
    (void)kind;
    (void)bytes;
    (void)n;
}

TEST(memory_may_run_out_anywhere)
{
    UNUSED_STATE;
    static const char text[] =
        "<think> a </think>\n b \n" S "[f(a='x', b=[{'k': {1, 2}}]), g()]" E
        "[x" S "[{\"name\":\"h\",\"arguments\":{\"a\":1}}]" E S
        "[f(a='x', b)]" E;
    long hits = 1;
    for (long nth = 0; hits > 0; nth++) {
        struct speech s;
        size_t live = mem_live_count();
        fault_alloc_at(nth);
        speech_init(&s, &tools_and_thoughts, ignore_event, NULL);
        int rc = speech_feed(&s, text, sizeof text - 1);
        if (rc == 0)
            rc = speech_finish(&s, true);
        hits = fault_hits();
        fault_alloc_at(-1);
        speech_deinit(&s);
        assert_true(rc == 0 || (rc == -ERR_NOMEM && hits > 0));
        assert_int_equal(mem_live_count(), live);
        assert_true(nth < 10000);
    }
}

int main(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_passes_through_verbatim),
        cmocka_unit_test(thoughts_are_told_apart_and_trimmed),
        cmocka_unit_test(a_prompt_that_opened_the_thoughts_starts_inside),
        cmocka_unit_test(behind_a_closed_thought_no_white_space_is_told),
        cmocka_unit_test(calls_are_read),
        cmocka_unit_test(text_after_a_call_is_kept),
        cmocka_unit_test(an_echo_of_a_call_is_dropped),
        cmocka_unit_test(prose_in_brackets_is_not_held_for_an_echo),
        cmocka_unit_test(json_calls_are_read_too),
        cmocka_unit_test(a_missing_end_marker_is_tolerated),
        cmocka_unit_test(a_call_that_the_reply_cuts_is_not_over),
        cmocka_unit_test(what_is_no_call_becomes_text),
        cmocka_unit_test(what_follows_half_a_call_becomes_text),
        cmocka_unit_test(golden_cases_of_our_peers),
        cmocka_unit_test(a_call_is_told_while_it_is_written),
        cmocka_unit_test(thoughts_that_never_close_end_at_a_call),
        cmocka_unit_test(without_tools_markers_are_dropped_or_kept),
        cmocka_unit_test(parallel_calls_can_be_ruled_out),
        cmocka_unit_test(what_is_held_is_bounded),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
