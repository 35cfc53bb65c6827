"""Small templates, one construct each, and the variables they see."""

CONTEXT = {
    "n": 7, "neg": -3, "f": 2.5, "big": 9007199254740993, "t": True,
    "no": False, "nil": None, "s": "Hello, World", "empty": "",
    "sp": "  padded \n", "u": "héllo ẞtraße ΑΣ мир 日本 🎉", "q": "it's",
    "qq": "both ' and \"", "ml": "one\ntwo\n\nthree\n", "html": "<a href='x'>&",
    "l": [3, 1, 2], "ls": ["b", "a", "C", "c"], "el": [], "ed": {},
    "d": {"a": 1, "b": {"c": [1, 2, {"d": None}]}, "items": "key"},
    "mixed": [1, "a", None, True, 2.0, [1], {"k": "v"}],
    "users": [
        {"name": "Bo", "age": 30, "tags": ["x"], "on": True},
        {"name": "al", "age": 25, "tags": [], "on": False},
        {"name": "Cy", "age": 30, "tags": ["y", "z"], "on": True},
        {"name": "di", "age": None, "on": False},
    ],
    "messages": [
        {"role": "system", "content": "be nice"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None,
         "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]},
        {"role": "tool", "content": "42"},
    ],
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []},
                               {"v": 3, "kids": [{"v": 4, "kids": []}]}]}],
}

WHITESPACE = r"""
a {% if t %} b {% endif %} c
a\n{% if t %}\nb\n{% endif %}\nc
a\n  {% if t %}  \nb\n  {% endif %}  \nc
a\n  {%- if t -%}  \nb\n  {%- endif -%}  \nc
a\n  {%+ if t +%}  \nb\n  {%+ endif +%}\nc
a\n  {{ n }}\n  {{- n -}}  \n  {{ n }}\n
a  {#- c -#}  b
a\n  {# c #}\nb
a\n  {#+ c +#}\nb
a\n  {# c\n c #}  \nb
x\n\n
x\n
\n
\n\n\n{{ n }}
  {% set x = 1 %}\n  {{ x }}
 {{ n }} {% set x = 1 %} {{ x }}\n
{% set x = 1 %} {{ x }}
{% raw %}{{ n }} {% if %}{# #}{% endraw %}
a\n  {% raw %}\n  {{ n }}\n  {% endraw %}\nb
a {%- raw -%}  {{ n }}  {%- endraw -%} b
a {% raw -%}  x {% endraw +%}\nb
a\r\nb\rc\r\n
{% if t %}\r\nx\r\n{% endif %}
{{-n-}}
{{- 1 -}} {{+ 1 }}
{% for x in l %}\n  {{ x }}\n{% endfor %}\nend
{% for x in l -%}\n  {{ x }}\n{%- endfor %}\nend
  {#- a -#}\n  {% if t %}yes{% endif %}
{{ '}}' }} {{ '%}' }} {{ {'a': {'b': 1}}['a'] }}
{{ {'a': {'b': {}}}}}
{% if t %}{% endif %}\n\n{{ n }}
\u00a0 {%- if t %}x{% endif %}
a{# {{ n }} #}b
a {% if t %}\n\n\nb{% endif %}
\t{% if t %}\tx\n\t{% endif %}\ty
line\n   {% if t %} {% endif %}   {% if t %}x{% endif %}
{%- if t -%}\n\n x \n\n{%- endif -%}\n\n y
"""

EXPRESSIONS = r"""
1 + 2 * 3 - 4
7 / 2
7 // 2
-7 // 2
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
2 ** 0.5
0 ** 0
1 / 0
1 // 0
1 % 0
1.0 / 3
0.1 + 0.2
1e16
1e15
123456789012345680.0
1e-5
0.0001
1.5e300 * 1e300
-0.0
1_000
0x1F
0b101
0o17
1_0.5_0
1.
1e3
9223372036854775807
big * 2
'a' ~ 1 ~ none ~ true ~ 1.0
'a' 'b' "c"
'a\n\t\\\'\"\x41\u00e9\101\q'
'a' + 'b'
'a' + 1
1 + 'a'
'ab' * 3
3 * 'ab'
'ab' * -1
[1] * 2
(1,) + (2,)
[1] + [2]
[1] + (2,)
true + 1
true and 'x'
'' or 'y'
none or 0
0 and x.y
not 1
not not ''
1 if t
1 if no
1 if no else 2
1 if no else 2 if no else 3
(1 if no) is defined
1 < 2 < 3
1 < 3 < 2
1 == 1.0
1 == true
'1' == 1
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
(1, 2) == (1, 2)
[1] == (1,)
{'a': 1} == {'a': 1.0}
none == none
undef == undef2
undef == none
undef != 1
none < 1
undef < 1
2 in l
5 not in l
'a' in d
'ell' in s
1 in s
'' in s
1 in 5
1 in none
'x' in undef
not 1 in l
[1] in d
[]
[1, [2, 'x'], (3,), {'k': none}]
()
(1,)
(1, 2)
1, 2
{}
{'a': 1, 2: 'b', none: true, 1.5: f, (1,2): 3}
{'a': 1, 'a': 2}
{[1]: 2}
{1: 'a', true: 'b'}
l[0]
l[-1]
l[5]
l['x']
l[0:2]
l[::-1]
l[1:]
l[:-1]
l[-2:]
l[::2]
l[5:]
l[:5]
l[2:0]
l[2:0:-1]
l[::0]
l[:none]
l[undef:]
l[true]
l[1.0]
s[0]
s[-1]
s[50]
s[1:4]
s[::-1]
s[::2]
u[1]
u[7]
u[-1]
u[1:9]
u[::-1]
u | length
(1,2,3)[1:]
d[1:]
d.a
d['a']
d.b.c[2].d
d.b.c.0
d.zz
d.zz.y
d['zz']
d['zz']['y']
d.items
d['items']
d.items()
d.keys()
d.values()
d.keys() | list
d.get('a')
d.get('zz')
d.get('zz', 5)
d.get()
d.get(key='a')
undef
undef.x
undef['x']
undef()
undef + 1
-undef
undef | length
undef | string
[undef]
{'a': undef}
undef ~ 'x'
undef is defined
undef or 'default'
nil
nil.x
nil['x']
nil()
n.x
s.x
s.upper()
s.nope()
s()
n()
-n
+n
-s
- - n
-n | abs
(-n) | abs
l.append(4)
l.append
l.append is defined
d.update({})
d.pop('a')
d.setdefault('x', 1)
l.pop()
l.insert(0, 1)
l.sort()
l.count(1)
l.index(2)
l.index(9)
l.__class__
s.__class__.__mro__
d.__len__
''.join(['a', 'b'])
','.join(l)
','.join('abc')
q
[q]
[qq]
['a\nb\t\\ \x00 é \u200b \xa0 日 \U0001f389']
mixed
u
[u]
f
2.0
1.0 * 3
n / 7
t
range(3)
range(1, 4)
range(0, 10, 3)
range(3, 0, -1)
range(3) | list
range(10)[2]
range(10)[2:5]
range(10)[::-1] | list
range(5) | length
3 in range(5)
range(100001)
range(1000000000)
range(0)
range()
range('a')
dict(a=1, b=2)
dict({'x': 1}, y=2)
dict([('a', 1)])
dict([['a', 1], ['b', 2]])
namespace(a=1).a
namespace({'a': 2}).a
namespace(a=1).b
namespace(a=1)['a']
namespace(a=1)
namespace(_x=1)
raise_exception('boom: ' ~ n)
raise_exception()
cycler('a', 'b').next()
joiner()
joiner('|')()
foo(
1 +
[1, 2
{1}
)
a b
1 2
'abc
a.
a..b
a[
x if
not
is defined
n is
n is not
n is foo
n | foo
n | foo(1)
(n | foo) if no
1 if t else (n | foo)
n is defined is none
n is not none
n is divisibleby 7
n is divisibleby(2)
n is odd
n is even
4 is even
f is odd
s is odd
n is number
t is number
n is integer
t is integer
f is float
t is boolean
s is string
d is mapping
l is sequence
s is sequence
d is sequence
undef is sequence
(l | map('string')) is sequence
l is iterable
n is iterable
s is iterable
range is callable
s is callable
s.upper is callable
n is eq 7
n is ne(7)
n is lt 8
n is le 7
n is gt 8
n is ge 7
n is equalto 7
n is greaterthan 3
n is lessthan 3
n is in [7, 8]
s is in 'x'
n is sameas n
nil is none
nil is not none
t is sameas true
1 is sameas true
t is true
1 is true
no is false
'abc' is lower
'ABC' is upper
'aBc' is lower
'1' is upper
'trim' is filter
'nope' is filter
'odd' is test
undef is undefined
d.zz is undefined
n is not defined
n is defined and d.zz is not defined
not n is defined
n is string or n is number
'a' is string and 'b'
n == 7 is true
1 + n is defined
"%s and %d" % ('x', 3)
"%s" % n
"%5d|%-5d|%05d|%+d" % (1, 2, 3, 4)
"%.2f|%8.3f|%e|%g" % (1.5, 2.25, 3.0, 0.0001)
"%x|%X|%o|%#x" % (255, 255, 8, 255)
"%r %s" % ('a', 'b')
"%(a)s" % {'a': 5}
"%s %s" % ('x',)
"%s" % ('x', 'y')
"%d" % 'x'
"100%%" % ()
"%5s|%-5s|%.2s" % ('ab', 'cd', 'efg')
"%s" % [1, 2]
"%z" % 1
"{} {}".format(1, 'b')
"{0} {1} {0}".format('a', 'b')
"{a} {b}".format(a=1, b=2)
"{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}".format('a', 'b', 'c', 42, 1.005, 1234567)
"{!r}".format('x')
"{0[a]} {1.b}".format(d, d)
"{{}} {}".format(1)
"{} {}".format(1)
"{".format(1)
"{:*^9}".format('mid')
"{:x} {:b} {:e} {:%}".format(255, 5, 1.5, 0.25)
"{:d}".format('x')
"{:5}|{:5}".format(1, 'a')
"{}".format(none)
"{:>6}".format(1.5)
users[0].name
users | map(attribute='name') | list
users[0]['tags'][0]
users | length
(users | first).name
messages[0].role == 'system'
messages[2].tool_calls[0].function.arguments.x
messages[-1]['content']
messages[1:] | length
messages | selectattr('role', 'equalto', 'user') | list | length
foo.bar.baz is defined
d.foo.bar is defined
d['foo'] is defined
*l
dict(**{'a': 1})
dict(**d)
range(*[1, 3])
dict(a=1, a=2)
(1, 2)[0]
[1, 2,]
{'a': 1,}
(1)
((1, 2), 3)
'a' 'b' | upper
'a' ~ 'b' | upper
1 + 2 | string
(1, 2) | join
[1, 2] | join(', ') | upper
d.b.c | tojson
loop
self
caller
True is true
None is none
False or True
strftime_now('') 
'' is none
l is sameas l
'\
x'
d is not mapping
"a" if nil is not none and nil.x else "b"
d.b['c'][0]
[[1, 2], [3]][0][1]
{'a': [1]}.a[0]
'abc'[1]
'a,b'.split(',')[1]
('a' ~ 'b').upper()
[3, 1] | sort | first
n|string|length
- 1 | abs
2 * 3 is even
"x" in "xyz" and "y" not in "abc"
l[n - 7]
l[l | length - 1]
l[(l | length) - 1]
1 in [1] and 2 in [2]
"\ud83d"
'\x4'
"tab	tab"
1 ~ 2
[none, true, 1.0]
"a" == 'a'
1 != 1
2 >= 2
n.0
s.0
1.5.x
x.y.z
[] + [1]
[x for x in l]
lambda: 1
l is empty
1 // 0.0
5 // 0.3
5 % 0.3
1e308 * 10
(1e308 * 10) | string
0.1 * 3
1/3
100 / 10
1e22
1.7976931348623157e308
5e-324
123456.789
1e2
3.0 | int
"""

METHODS = r"""
sp.strip()
sp.lstrip()
sp.rstrip()
'xxaxx'.strip('x')
'xyaxy'.lstrip('xy')
'éaé'.strip('é')
'  a '.strip(none)
'a b  c '.split()
'a b  c '.split(' ')
'a,b,c'.split(',', 1)
'a,b,c'.rsplit(',', 1)
'a b c'.split(none, 1)
' a  b c '.rsplit(none, 1)
' a  b c '.split(maxsplit=1)
'a b c'.rsplit()
'abc'.split('')
'abc'.split('x')
''.split()
''.split(',')
'a</think>b</think>c'.split('</think>')[-1]
'a</think>b'.split('</think>')[0].split('<think>')[-1].lstrip('\n')
ml.splitlines()
ml.splitlines(true)
'a\r\nb\rc'.splitlines()
s.startswith('He')
s.startswith(('x', 'He'))
s.startswith(['He'])
s.startswith('ello', 1)
s.startswith(1)
s.endswith('ld')
s.endswith(('a', 'd'))
s.endswith('')
s.replace('l', 'L')
s.replace('l', 'L', 1)
s.replace('', '-')
'aaa'.replace('aa', 'b')
s.replace('l')
s.upper()
u.upper()
u.lower()
u.title()
u.capitalize()
s.swapcase()
"they're bill's".title()
'HELLO wORLD'.capitalize()
'ŉ ǆ ß ﬁ'.upper()
'ǆa ǆ'.title()
'ΑΣ ΑΣΑ Σ'.lower()
'İ'.lower()
s.find('o')
s.find('z')
s.rfind('o')
s.find('o', 5)
s.find('o', 5, 7)
s.find('', 3)
s.find('', 99)
u.find('日')
s.index('W')
s.index('z')
s.count('l')
s.count('')
s.count('l', 3)
'123'.isdigit()
'12a'.isdigit()
''.isdigit()
'²'.isdigit()
'٣'.isdigit()
'½'.isnumeric()
'abc'.isalpha()
'日本'.isalpha()
'a1'.isalnum()
'a_'.isalnum()
'  '.isspace()
''.isspace()
'AB1'.isupper()
'ab'.islower()
'1'.islower()
''.isascii()
'é'.isascii()
'42'.zfill(5)
'-42'.zfill(5)
'a'.ljust(3) ~ '|'
'a'.rjust(3, '*')
'ab'.center(5, '*')
'abc'.center(6, '*')
'é'.center(4, '*')
'a'.ljust(3, 'xy')
'abc'.removeprefix('a')
'abc'.removesuffix('c')
'abc'.removesuffix('')
'a=b=c'.partition('=')
'a=b=c'.rpartition('=')
'abc'.partition('=')
'abc'.rpartition('=')
[1, 2, 1].count(1)
(1, 2).index(2)
d.copy()
d.items() | list
d.items() | length
d.items() | first
d.keys() | sort
'a' in d.keys()
1 in d.values()
d.get('b').get('c')
ed.items() | list
ed.get('x', {}).get('y', 'z')
'{}'.format(1)
'a'.format
'%s'.format(1)
s.strip
"a\n\nb".split("\n\n")
"x".join(["1", "2"]).split("x")
s.lower().replace('o', '0').split(', ')
l.copy()
"a-b_c".replace("-", "").replace("_", "")
"abc".find(sub="b")
""".replace('"abc".find(sub="b")\n', "")

FILTERS = r"""
-3 | abs
neg | abs
f | abs
s | abs
d | attr('a')
d | attr('keys') is defined
s | attr('upper') is callable
[1,2,3,4,5] | batch(2) | list
[1,2,3] | batch(2, 'x') | list
s | capitalize
s | center(20)
l | count
s | length
5 | length
undef | default('x')
nil | default('x')
nil | default('x', true)
'' | d('x', boolean=true)
undef | d
undef | default(default_value='z')
d | dictsort
{'b': 1, 'A': 2} | dictsort
{'b': 1, 'A': 2} | dictsort(true)
{'b': 1, 'a': 2} | dictsort(by='value')
{'b': 1, 'a': 2} | dictsort(false, 'key', true)
{'b': 1} | dictsort(by='x')
html | e
html | escape
html | forceescape
5 | escape
l | first
el | first
s | first
d | first
'3.5' | float
'x' | float
'x' | float(1.5)
none | float
'inf' | float
' 1_0.5 ' | float
'%s-%s' | format(1, 2)
'%(a)s' | format(a=1)
'%s' | format
users | groupby('age', default=0) | list
users[:3] | groupby('age') | map('first') | list
users[:3] | groupby('age') | map(attribute='grouper') | list
users[:3] | groupby('name', case_sensitive=true) | map(attribute='list') | map('length') | list
ml | indent
ml | indent(2)
ml | indent(2, true)
ml | indent(2, first=true, blank=true)
ml | indent('> ')
'' | indent
5 | indent
'42' | int
'42.9' | int
42.9 | int
'x' | int
'x' | int(5)
'ff' | int(base=16)
'0x1f' | int(base=16)
'0b11' | int(0, 2)
none | int
true | int
'-7' | int
' 5 ' | int
'1_000' | int
l | int
d | items | list
undef | items | list
l | items | list
l | join
l | join(', ')
l | join(1)
users | join(', ', attribute='name')
mixed | join('|')
undef | join
s | join('-')
n | join
l | last
el | last
s | last
d | last
l | map('string') | last
s | list
d | list
n | list
undef | list
s | lower
s | upper
n | upper
ls | map('upper') | list
ls | map('replace', 'a', 'x') | list
users | map(attribute='age') | list
users | map(attribute='tags.0') | list
users | map(attribute='zz', default='?') | list
users | map('attr', 'name') | list
users | map(attribute='tags', default=[]) | map('length') | list
ls | map('nope') | list
el | map('nope') | list
ls | map | list
l | map('default', 5) | list
l | min
l | max
el | min
ls | min
ls | max
ls | max(case_sensitive=true)
users[:3] | min(attribute='age')
[1, 'a'] | max
l | reject('odd') | list
[0, 1, '', 'a', none] | reject | list
users | rejectattr('on') | map(attribute='name') | list
users | rejectattr('age', 'none') | map(attribute='name') | list
s | replace('l', 'L')
s | replace('l', 'L', 1)
s | replace(1, 2)
5 | replace(5, 6)
s | replace('o')
l | reverse | list
s | reverse
u | reverse
d | reverse | list
l | map('string') | reverse | list
(1, 2) | reverse | first
f | round
2.567 | round(2)
2.5 | round
3.5 | round
-2.5 | round
2.1 | round(0, 'ceil')
2.19 | round(1, 'floor')
7 | round
1234 | round(-2)
2.675 | round(2)
s | round
f | round(method='x')
html | safe
html | safe + html
html + (html | safe)
(html | safe) + html + 'a<b'
html | safe | escape
html | escape | escape
html | safe | forceescape
(html | safe) ~ html
n | safe
l | select('odd') | list
l | select('>', 1) | list
l | select('in', [1, 2]) | list
mixed | select('string') | list
mixed | select | list
l | select('nope') | list
users | selectattr('on') | map(attribute='name') | list
users | selectattr('name', 'equalto', 'Bo') | list | length
users | selectattr('tags', 'defined') | list | length
users | selectattr('age', '==', 30) | map(attribute='name') | join(',')
users | selectattr | list
messages | selectattr('role', 'in', ['user', 'tool']) | map(attribute='role') | list
messages | rejectattr('role', 'eq', 'system') | list | length
(messages | selectattr('role', 'eq', 'nope')) | length
'yes' if messages | selectattr('role', 'eq', 'nope') else 'no'
'yes' if messages | selectattr('role', 'eq', 'nope') | list else 'no'
[1,2,3,4,5,6,7] | slice(3) | list
[1,2,3,4,5,6,7] | slice(3, 'x') | list
l | slice(0) | list
l | sort
l | sort(reverse=true)
ls | sort
ls | sort(case_sensitive=true)
ls | sort(true)
users[:3] | sort(attribute='age') | map(attribute='name') | list
users[:3] | sort(attribute='age,name') | map(attribute='name') | list
users[:3] | sort(attribute='age', reverse=true) | map(attribute='name') | list
mixed | sort
d | sort
n | string
nil | string
d | string
l | sum
users[:3] | sum(attribute='age')
l | sum(start=10)
ls | sum
el | sum
[1.5, 2] | sum
s | title
"foo-bar (baz) it's" | title
5 | title
d | tojson
u | tojson
u | tojson(ensure_ascii=true)
html | tojson
mixed | tojson
d | tojson(indent=2)
mixed | tojson(indent=4)
[] | tojson(indent=2)
{} | tojson(indent=2)
{'a': [], 'b': {}} | tojson(indent=2)
d | tojson(separators=(',', ':'))
d | tojson(indent=2, separators=(',', ': '))
{'b': 1, 'a': 2} | tojson(sort_keys=true)
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
{(1, 2): 3} | tojson
(1, 2) | tojson
range(3) | tojson
undef | tojson
l | map('string') | tojson
'a"b\\c\n\r\t\x08\x0c\x01\x7f/' | tojson
1.0 | tojson
1e100 | tojson
nil | tojson
t | tojson
d.items() | tojson
d | tojson(indent='--')
d | tojson(indent=0)
d | tojson(none)
d | tojson(indent=none)
namespace(a=1) | tojson
sp | trim
'xax' | trim('x')
n | trim
undef | trim
'\n\u00a0 a \u2003' | trim
s | truncate(5)
s | truncate(8)
s | truncate(8, true)
'foo bar baz qux' | truncate(9)
'foo bar baz qux' | truncate(9, true)
'foo bar baz qux' | truncate(11)
'foo bar baz qux' | truncate(11, false, '...', 0)
'foo bar baz qux' | truncate(5, end='')
s | truncate(2)
u | truncate(6, true, '', 0)
ls | unique | list
ls | unique(case_sensitive=true) | list
users | unique(attribute='age') | map(attribute='name') | list
[1, 1.0, true, '1'] | unique | list
[[1]] | unique | list
s | urlencode
'a b/ü?&=' | urlencode
{'a b': 'c/d', 'e': 1} | urlencode
[('a', 1)] | urlencode
5 | urlencode
s | wordcount
"it's a-b c_d é" | wordcount
'the quick brown fox' | wordwrap(10)
'aaaaaaaaaaaa bb' | wordwrap(5)
'aaaaaaaaaaaa bb' | wordwrap(5, false)
'a b\nc d' | wordwrap(3)
'a b c' | wordwrap(3, true, '|')
s | pprint | length > 0
l | random is defined
s | trim | upper | lower | title
l | sort | join('-') | replace('-', '+')
s | upper()
s | upper(1)
s | replace(old='H', new='J')
s | replace(olds='H', new='J')
d.b | tojson | length
users | map(attribute='name') | map('lower') | sort | join(' ')
l | map('abs') | sum
[l, ls] | map('join', ',') | join(';')
[1, 2] | map('string') | map('length') | list
'a' | default('b') | upper
d | length
d | list | sort | first
s | striptags
s | filesizeformat
s | xmlattr
"abc" | batch(2) | map('join') | list
(1, 2, 3) | select('gt', 1) | first
[3, 4] | map('string') | first
[true, false] | map('string') | join
[{'a': {'b': 5}}] | map(attribute='a.b') | first
[[1, 2], [3, 4]] | map(attribute=0) | list
[[1, 2], [3, 4]] | map('last') | list
[[1, 2], [3, 4]] | sum(start=[])
"x" | string | safe | tojson
"%.1f" | format(2.55)
"a\n  b" | indent(4) | replace('\n', '|')
[none, none] | sort
[[none, 2], [none, 1]] | sort
[{'a': 1}, {'a': 1}] | sort | length
users | sort(attribute='zz') | length
undef | last
5 | truncate
l | truncate(4)
["{", "}", "a", "b"] | max
"{" < "}"
"a" < "c"
"c" > "a"
["a", "c", "b"] | sort
"%s" % range(2)
""".replace("s | pprint | length > 0\nl | random is defined\n", "") \
   .replace("s | striptags\ns | filesizeformat\ns | xmlattr\n", "")

STATEMENTS = r"""
{% for x in l %}{{ x }}{% else %}none{% endfor %}
{% for x in el %}{{ x }}{% else %}none{% endfor %}
{% for x in undef %}{{ x }}{% else %}none{% endfor %}
{% for x in nil %}{{ x }}{% endfor %}
{% for x in n %}{{ x }}{% endfor %}
{% for x in s %}{{ x }}.{% endfor %}
{% for x in u %}{{ x }}.{% endfor %}
{% for k in d %}{{ k }},{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in d | items %}{{ k }}={{ v }};{% endfor %}
{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}
{% for (a, b) in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
{% for a, b in ['xy', 'zw'] %}{{ b }}{{ a }}{% endfor %}
{% for a, b in [1] %}{{ a }}{% endfor %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}
{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}
{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}
{% for x in [1,1,2,2,1] %}{{ loop.changed(x) }} {% endfor %}
{% for x in l %}{{ loop.foo }}{% endfor %}
{% for x in l %}{{ loop }}{% break %}{% endfor %}
{% for x in l if x > 1 %}{{ x }}{{ loop.index }}/{{ loop.length }}{{ loop.last }};{% endfor %}
{% for x in l if x > 5 %}{{ x }}{% else %}none{% endfor %}
{% for x in l if loop %}{{ x }}{% endfor %}
{% for x in l if x is odd recursive %}{{ x }}{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}E{% endfor %}
{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}
{% for x in l %}{% for y in ls %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}
{% for x in l %}{% set o = loop %}{% for y in ls %}{{ o.index }}{{ loop.index }} {% endfor %}{% endfor %}
{% break %}
{% if t %}{% continue %}{% endif %}
{% for x in tree recursive %}{{ x.v }}{% if x.kids %}({{ loop(x.kids) }}){% endif %}{% endfor %}
{% for x in tree recursive %}{{ loop.depth }}:{{ x.v }} {{ loop(x.kids) }}{% endfor %}
{% for x in l %}{{ loop(l) }}{% endfor %}
{% for x in l %}{% set z = x %}{% endfor %}{{ z }}
{% set z = 0 %}{% for x in l %}{% set z = z + x %}{{ z }} {% endfor %}{{ z }}
{% set ns = namespace(z=0) %}{% for x in l %}{% set ns.z = ns.z + x %}{% endfor %}{{ ns.z }}
{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b }}{{ ns.b is defined }}
{% set ns = namespace(found=false) %}{% for m in messages if not ns.found %}{{ m.role }} {% if m.role == 'user' %}{% set ns.found = true %}{% endif %}{% endfor %}
{% set ns = namespace(_a=1) %}
{% set ns = namespace() %}{% set ns._a = 1 %}
{% set d.x = 1 %}
{% set undef.x = 1 %}
{% set ns = {} %}{% set ns['a'] = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a, b = [1, 2] %}{{ a }}{{ b }}
{% set a, b = 1 %}
{% set (a, b) = (1, 2) %}{{ a }}{{ b }}
{% set a = 1, 2 %}{{ a }}
{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}
{% set 1 = 2 %}
{% set none = 2 %}
{% set a = %}
{% set a %}x{{ n }}y{% endset %}{{ a }}{{ a | length }}
{% set a | upper %}x{{ s }}y{% endset %}{{ a }}
{% set a | replace('x', 'z') | trim %}  x{{ n }}  {% endset %}[{{ a }}]
{% set a %}{% set b = 1 %}{% endset %}{{ b }}
{% set ns = namespace() %}{% set ns.a %}in{% endset %}{{ ns.a }}
{% if no %}a{% elif n == 7 %}b{% else %}c{% endif %}
{% if no %}a{% elif no %}b{% else %}c{% endif %}
{% if no %}a{% elif no %}b{% endif %}
{% if undef %}a{% else %}b{% endif %}
{% if el %}a{% endif %}{% if l %}b{% endif %}
{% if t %}{% set v = 1 %}{% endif %}{{ v }}
{% if no %}{% set v = 1 %}{% endif %}{{ v }}{{ v is defined }}
{% if t: %}x{% endif %}
{% if 1, 2 %}x{% endif %}
{% if %}x{% endif %}
{% if t %}x
{% endif %}
{% if t %}x{% endfor %}
{% for x in l %}x
{% foo %}
{% %}
{{ }}
{{ n
{% if t
{# abc
{% raw %} abc
{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c='y') }} {{ m(b=1, a=0) }} {{ m() }}
{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(none) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}
{% macro m() %}{{ varargs | join('-') }}{% endmacro %}{{ m(1, 2) }}
{% macro m() %}{% for k, v in kwargs.items() %}{{ k }}{{ v }}{% endfor %}{% endmacro %}{{ m(a=1, b=2) }}
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 2) }}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m() %}{{ n }}{{ later }}{% endmacro %}{% set later = 'L' %}{{ m() }}
{% macro m() %}{% set leak = 1 %}{% endmacro %}{{ m() }}{{ leak is defined }}
{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}
{% macro m() %}{{ x }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}
{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}
{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(3) }}
{% macro m() %} a {% endmacro %}[{{ m() | trim }}]{{ m() == ' a ' }}
{% macro m() %}x{% endmacro %}{{ m }}{{ m.name }}
{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}in{{ n }}{% endcall %}
{% macro m() %}{{ caller(1, b=2) }}!{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}
{% macro m(x) %}{{ x }}{{ caller() }}{% endmacro %}{% call m('p') %}in{% endcall %}
{% macro m() %}no caller{% endmacro %}{% call m() %}in{% endcall %}
{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}
{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}
{% macro m() %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) m() %}<{{ i }}>{% endcall %}
{% call n %}x{% endcall %}
{% filter upper %}a{{ s }}{% endfilter %}
{% filter replace('a', 'b') | upper %}a{{ n }}{% endfilter %}
{% filter nope %}a{% endfilter %}
{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a }}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}
{% with n = n + 1 %}{{ n }}{% endwith %}{{ n }}
{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}
{% generation %}a{{ n }}{% endgeneration %}
{% generation %}{% set z = 1 %}{% endgeneration %}{{ z }}
{% for x in l %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}
{% for x in l %}{% generation %}{% break %}{% endgeneration %}{% endfor %}
{%- generation -%}  a  {%- endgeneration -%}  b
{% block a %}x{{ n }}{% endblock %}
{% block a %}x{% endblock a %}y
{% set x = 5 %}{% block a %}{{ x }}{% endblock %}
{% for q in l %}{% block b %}{{ q }}{% endblock %}{% endfor %}
{% print n %}
{% include 'x' %}
{% extends 'x' %}
{% import 'x' as y %}
{% from 'x' import y %}
{% set x = [] %}{% set x = x + [1] %}{% set x = x + [2] %}{{ x }}
{% set a = [1] %}{% set b = a + [2] %}{% set c = a + [3] %}{{ a }}{{ b }}{{ c }}
{% set a = 'x' %}{% set b = a + 'y' %}{% set c = b + 'z' %}{% set e = b + 'w' %}{{ a }}{{ b }}{{ c }}{{ e }}
{% set g = l | map('string') %}{{ g | list }}{{ g | list }}
{% set g = l | select %}{% for x in g %}{{ x }}{% endfor %}{% for x in g %}{{ x }}{% endfor %}
{% set g = l | map('string') %}{{ g | first }}{{ g | list }}
{% if l | select('gt', 9) %}truthy{% endif %}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}
{% set j = joiner(', ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}
{% set range = 5 %}{{ range }}
{% set loop = 5 %}{{ loop }}
{% for loop in l %}{% endfor %}
{% set messages = messages[1:] %}{{ messages | length }}
{% for m in messages %}{{ '<|' + m['role'] + '|>' + (m['content'] or '') }}{% endfor %}
{% for m in messages[::-1] %}{{ m.role }} {% endfor %}
{% for m in messages | reverse %}{{ m.role }}{{ loop.last }} {% endfor %}
{% for i in range(messages | length - 1, -1, -1) %}{{ i }}{% endfor %}
{% set m = messages[2] %}{% if m.tool_calls is defined and m.tool_calls %}{{ m.tool_calls[0].function.arguments | tojson }}{% endif %}
{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set sys = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% endif %}{{ sys }}{{ loop_messages | length }}
{% if (messages[0].role == 'user') != (1 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}
{% for m in messages %}{% if m.nope is not none %}x{% endif %}{% endfor %}
{{ messages[2].content is none }}{{ messages[2].content }}
{{ messages[2].content | length }}
{{ messages[2].content + 'x' }}
{{ 'a' if no }}|{{ ('a' if no) ~ 'b' }}
{% if n | foo %}x{% endif %}
{% if no %}{{ n | foo }}{% endif %}ok
{% if no %}{{ n is foo }}{% endif %}ok
{% if no %}{% for x in l %}{{ x | foo }}{% endfor %}{% endif %}ok
{% if t %}{{ n | foo }}{% endif %}ok
{{ foo() if no }}
{{ foo() }}
{% set a = b = 1 %}
{{ n; }}
{{ {{ n }} }}
{{ n }} }} {{ n }}
{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for x in [] %}{% endfor %}{{ x }}
{% for k, v in {'a': 1}.items() %}{{ loop.index }}{{ k }}{{ v }}{% endfor %}
{% set x = namespace(v=[]) %}{% for i in l %}{% set x.v = x.v + [i * 2] %}{% endfor %}{{ x.v }}
{% macro a(x) %}A{{ b(x) }}{% endmacro %}{% macro b(x) %}B{{ x }}{% endmacro %}{{ a(1) }}
{% macro a(x=[]) %}{{ x }}{% endmacro %}{{ a() }}{{ a([1]) }}
{% macro render(m) -%}\n  {{ m.role }}\n{%- endmacro %}\n{{ render(messages[0]) }}
{{ '%s' % messages[0].role }}
{% for m in messages if m.role != 'system' %}{{ loop.index0 }}{{ m.role }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}|{% endfor %}
{% for x in l if x != loop.index %}{{ x }}{% endfor %}
{% set s2 = s %}{% for ch in s2 %}{% if ch == 'o' %}{% continue %}{% endif %}{{ ch }}{% endfor %}
{% set ns = namespace(a=1) %}{% macro m() %}{% set ns.a = 9 %}{% endmacro %}{{ m() }}{{ ns.a }}
{% filter indent(2) %}a\nb{% endfilter %}
{% filter trim %}  a  {% endfilter %}|
{% set x %}  a  {% endset %}[{{ x }}]
{% for x in l %}{% with y = x * 2 %}{% if y == 2 %}{% continue %}{% endif %}{{ y }}{% endwith %}{% endfor %}
{% for a in [1,2] %}{% for b in [3,4] %}{{ loop.index }}{{ a }}{{ b }}{% else %}{% endfor %}{% endfor %}
{% for x in range(3) %}{{ loop.nextitem }}{% endfor %}
{% for x in l %}{% set x = x + 1 %}{{ x }}{% endfor %}
{% for x in l %}{{ y is defined }}{% set y = 1 %}{{ y is defined }}{% endfor %}
{% autoescape false %}x{% endautoescape %}
{% if t -%} a {%- elif no -%} b {%- else -%} c {%- endif %}
{% do 1 %}
{% set f1 = s.upper %}{{ f1() }}
{{ d.items }}{{ 1 }}
{% for x in d.b.c[2] %}{{ x }}{% endfor %}
{% endraw %}
{%if t%}a{%endif%}
{%-if t-%}a{%-endif-%}
{{n}}{{s|upper}}
{% for x in users %}{{ x.name | lower ~ '!' }}{% endfor %}
{% for key in d if key != 'items' %}{{ key }}{% endfor %}
{{ l | map('string') | join(',') if l else 'none' }}
{{ (l | length) > 2 and 'many' or 'few' }}
""".replace("{% autoescape false %}x{% endautoescape %}\n", "") \
   .replace("{% set f1", "{% set f1").replace("{{ d.items }}{{ 1 }}\n", "") \
   .replace("{% for x in l %}{{ loop }}{% break %}{% endfor %}\n", "")

SKIP = {"d.items", "range", "s.strip", "'a'.format", "joiner()", "self",
        "loop", "l | map('string') | reverse"}


def unescape(line):
    return line.replace("\\n", "\n").replace("\\r", "\r") \
        .replace("\\t", "\t").replace("\\u00a0", "\u00a0")


SNIPPETS = [unescape(line) for line in WHITESPACE.strip("\n").split("\n")]
SNIPPETS += ["{{ " + line + " }}"
             for block in (EXPRESSIONS, METHODS, FILTERS)
             for line in block.strip("\n").split("\n") if line not in SKIP]
SNIPPETS += [unescape(line) for line in STATEMENTS.strip("\n").split("\n")]
