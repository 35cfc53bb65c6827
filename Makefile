# lfmd -- `make help` lists the targets; README.md is the tour.
VERSION := 0.1.0
SAN     ?=
comma   := ,
VARIANT := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)
B       := build/$(VARIANT)
V       := build/venv/bin

CC      ?= cc
CLANG   ?= clang
OPT     ?= -O2
PORT    ?= 8080
Q       := $(if $(VERBOSE),,@)
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
           -Wmissing-prototypes -Wdouble-promotion -Wformat=2 -Wvla -Wundef \
           -Wcast-align -Wimplicit-fallthrough
HARDEN  := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
CFLAGS  += -std=c11 -D_POSIX_C_SOURCE=200809L -g $(OPT) $(WARN) $(WERROR) \
           $(HARDEN) -I. -pthread $(if $(SAN),-fsanitize=$(SAN) \
           -fno-sanitize-recover=all -fno-omit-frame-pointer)
LDFLAGS += -pthread $(if $(SAN),-fsanitize=$(SAN),-pie -Wl,-z,relro,-z,now)
LIBS    := -lmicrohttpd -ljansson -luv -lopenblas -lpcre2-8 -linih -lxxhash -lm

src_model   := $(wildcard model/*.c model/*/*.c)
src_server  := $(wildcard server/*/*.c)
src_daemon  := $(wildcard server/*.c) # sees every room, so in no archive
src_api     := $(wildcard api/*.c api/*/*.c)
src_config  := $(wildcard config/*.c)
src_testlib := $(wildcard tests/lib/*.c)
unit        := $(wildcard tests/unit/*/*.c tests/unit/*/*/*.c tests/kernels/*.c)
fuzz        := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
bench       := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/*.c))
ours        := $(wildcard model/*.[ch] model/*/*.[ch] server/*.[ch] server/*/*.[ch] \
               api/*.[ch] api/*/*.[ch] config/*.[ch] tests/*/*.[ch] tests/*/*/*.[ch] \
               tests/*/*/*/*.[ch])
export TSAN_OPTIONS ?= suppressions=$(CURDIR)/tests/tools/tsan.supp
jobs        := $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
# Generated tables keep the layout of their generator.
laid_out    := $(filter-out model/template/unicode_c% \
               model/grammar/unicode_c%,$(ours))
obj          = $(patsubst %.c,$(B)/%.o,$(1))

.DEFAULT_GOAL := all
.PHONY: all run test unit cross cross-programs system lint format format-check fuzz \
        fuzz-replay bench bench-programs bench-quality bench-serving bench-clean docker \
        clean help packages test-packages test-programs \
        test-schemathesis test-clients test-peers install
.SECONDARY:

all: build/lfmd ## build build/lfmd

run: packages ## build and serve the bundled model on PORT (8080)
	@$(MAKE) --no-print-directory $(jobs) build/lfmd
	@exec build/lfmd --port $(PORT) $(ARGS)

test: test-packages ## every test; SAN=address,undefined or thread for sanitizers
	@$(MAKE) --no-print-directory $(jobs) test-programs
	@$(MAKE) --no-print-directory -j1 lint unit $(if $(SAN),,cross) fuzz-replay system

packages:
	@config/deploy/install-packages.sh build
test-packages:
	@config/deploy/install-packages.sh test

# --- building -----------------------------------------------------------------
# Only these objects may hold instructions that an older CPU lacks; the
# reference kernels are the specification, so no contraction there.
$(B)/model/kernels/%_ref.o:  CFLAGS += -ffp-contract=off
ifneq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
AVX2    := -mavx2 -mfma -mf16c
AVX512  := $(AVX2) -mavx512f -mavx512bw -mavx512dq -mavx512vl
$(B)/model/kernels/%_avx2.o: CFLAGS += $(AVX2)
$(B)/model/kernels/%_avxvnni.o: CFLAGS += $(AVX2) -mavxvnni
$(B)/model/kernels/%_avx512.o: CFLAGS += $(AVX512)
$(B)/model/kernels/%_avx512vnni.o: CFLAGS += $(AVX512) -mavx512vnni
endif
ifneq ($(findstring aarch64,$(shell $(CC) -dumpmachine)),)
$(B)/model/kernels/%_neon.o: CFLAGS += -march=armv8.2-a+dotprod
# gcc 12 dies of vectorising fmax over an array.
$(B)/tests/kernels/%.o:      CFLAGS += -fno-tree-vectorize
endif
$(B)/server/main.o:          CFLAGS += -DLFMD_VERSION='"$(VERSION)"'

# The document of /openapi.json as a C array.
openapi     := $(B)/api/openapi_data
$(openapi).c: api/openapi.json Makefile
	@mkdir -p $(@D)
	@{ echo '#include "api/openapi.h"'; echo 'const char openapi_json[] = {'; \
	    sed 's/^ *//; s/@VERSION@/$(VERSION)/' $< | tr -d '\n' | od -An -v -tx1 | \
	    sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'; echo '};'; \
	    echo 'const size_t openapi_n = sizeof openapi_json;'; } >$@.new
	@mv $@.new $@
$(openapi).o: $(openapi).c
	$(Q)$(CC) $(CFLAGS) -c $< -o $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "cc $<"
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/libmodel.a:  $(call obj,$(src_model))
$(B)/libserver.a: $(call obj,$(src_server))
$(B)/libapi.a:    $(call obj,$(src_api)) $(openapi).o
$(B)/libconfig.a: $(call obj,$(src_config))
$(B)/libtest.a:   $(call obj,$(src_testlib))
$(B)/lib%.a:
	@rm -f $@ && ar rcs $@ $^

upto_model  := $(B)/libmodel.a
upto_server := $(B)/libserver.a $(upto_model)
upto_api    := $(B)/libapi.a $(upto_server)
upto_config := $(B)/libconfig.a $(upto_api)

$(B)/lfmd: $(call obj,$(src_daemon)) $(upto_config)
	@echo "ld $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
build/lfmd: $(B)/lfmd
	@cp -f $< $@

# A test links its own floor and those below, so an upward call fails here.
link = @echo "ld $@" && $(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)
$(B)/tests/unit/model/%:  $(B)/tests/unit/model/%.o  $(B)/libtest.a $(upto_model)
	$(link)
$(B)/tests/kernels/%:     $(B)/tests/kernels/%.o     $(B)/libtest.a $(upto_model)
	$(link)
$(B)/tests/unit/server/%: $(B)/tests/unit/server/%.o $(B)/libtest.a $(upto_server)
	$(link)
$(B)/tests/unit/api/%:    $(B)/tests/unit/api/%.o    $(B)/libtest.a $(upto_api)
	$(link)
$(B)/tests/unit/config/%: $(B)/tests/unit/config/%.o $(B)/libtest.a $(upto_config)
	$(link)
$(B)/tests/server/http/%: $(B)/tests/server/http/%.o $(upto_server)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tests/server/grammar/%: $(B)/tests/server/grammar/%.o $(upto_model)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tests/bench/%:       $(B)/tests/bench/%.o       $(upto_model)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(B)/libtest.a $(upto_api)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# --- testing ------------------------------------------------------------------
unit_bin    := $(patsubst %.c,$(B)/%,$(unit))
replay_bin  := $(addprefix $(B)/replay_,$(fuzz))
demo_server := $(patsubst %.c,$(B)/%,$(wildcard tests/server/http/*.c \
                 tests/server/grammar/*.c))
test-programs: $(B)/lfmd $(unit_bin) $(replay_bin) $(demo_server)

unit: $(unit_bin) ## C tests
	@tests/tools/run_tests.sh $(B)/logs $(unit_bin)

# The kernels on another processor than this one.  No library is wanted there
# but libc: files that include one are left out, tests/lib/cross stands in for
# cmocka, and static programs need no system root under qemu.
X         := build/aarch64
CROSS_CC  ?= aarch64-linux-gnu-gcc
CROSS_RUN ?= qemu-aarch64 -cpu max
cross_src := $(filter-out %/gemm_blas.c %/hash.c %/json.c,\
             $(wildcard model/kernels/*.c model/base/*.c))
cross_bin := $(patsubst tests/kernels/%.c,$(X)/%,\
             $(filter-out %/check_gemm.c,$(wildcard tests/kernels/*.c)))
cross: ## the kernels for AArch64, under qemu (nothing where there is no compiler)
	@if command -v $(firstword $(CROSS_CC)) >/dev/null && \
	    command -v $(firstword $(CROSS_RUN)) >/dev/null; then \
	    CFLAGS=-Itests/lib/cross $(MAKE) --no-print-directory $(jobs) SAN= \
	        CC="$(CROSS_CC)" B=$(X) cross-programs && \
	    LFMD_EXPECT_ISA=neon RUN="$(CROSS_RUN)" tests/tools/run_tests.sh $(X)/logs $(cross_bin); \
	else echo "skip cross: no $(CROSS_CC) or no $(CROSS_RUN)"; fi

# What `cross` makes itself with CC and B for the other processor.
cross-programs: $(cross_bin)
$(X)/libkernels.a: $(patsubst %.c,$(X)/%.o,$(cross_src))
$(X)/check_%: $(X)/tests/kernels/check_%.o $(X)/libkernels.a
	@echo "ld $@" && $(CC) -static -pthread -o $@ $^ -lm

fuzz-replay: $(replay_bin) ## every fuzz target over its seeds
	@for t in $(fuzz); do \
	    find tests/fuzz/corpus/$$t -type f 2>/dev/null | sort | \
	    xargs -r timeout 300 $(B)/replay_$$t >$(B)/replay_$$t.log 2>&1 || \
	    { tail -n 40 $(B)/replay_$$t.log; exit 1; }; \
	    echo "ok   fuzz corpus $$t"; done

build/venv/ready: tests/requirements.txt
	python3 -m venv build/venv
	$(V)/pip install -q --disable-pip-version-check -r $<
	@touch $@

system: build/venv/ready $(B)/lfmd $(demo_server) ## tests from outside, over sockets
	LFMD_BINARY=$(abspath $(B)/lfmd) LFMD_BUILD=$(abspath $(B)) \
	    $(V)/pytest -q --timeout=300 -p no:cacheprovider tests/server tests/deploy

CASES ?= 100
test-schemathesis: build/venv/ready $(B)/lfmd ## CASES random requests for each operation of /openapi.json
	LFMD_BINARY=$(abspath $(B)/lfmd) $(V)/python tests/tools/schemathesis_run.py $(CASES)

# Clients that want different versions of one package live apart.
clients     := tests/clients
clients_env := $(patsubst %,build/venv-%/ready,clients instructor evals)
peers       := tests/peers
build/venv-clients/ready:    $(clients)/requirements.txt
build/venv-instructor/ready: $(clients)/instructor/requirements.txt
build/venv-evals/ready:      $(clients)/evals/requirements.txt
build/venv-peers/ready:      $(peers)/requirements.txt
$(clients_env) build/venv-peers/ready:
	python3 -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@
build/clients-node/ready: $(wildcard $(clients)/node/*)
	@mkdir -p $(@D) && cp $^ $(@D)
	cd $(@D) && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

asking := LFMD_BINARY=$(abspath $(B)/lfmd) LFMD_BUILD=$(abspath $(B)) HF_HUB_OFFLINE=1
asks   := bin/pytest -q --timeout=60 -W ignore -p no:cacheprovider $(clients)
test-clients: $(clients_env) build/clients-node/ready $(B)/lfmd ## what people use to talk to it: 3 minutes, installs 2 GB at first
	$(asking) build/venv-clients/$(asks) --ignore=$(clients)/instructor
	$(asking) build/venv-instructor/$(asks)/instructor

test-peers: build/venv-peers/ready $(B)/lfmd ## llama-server's and vLLM's own tests, fetched (120 MB): 1 minute
	build/venv-peers/bin/python $(peers)/fetch.py build/peers
	build/venv-peers/bin/python $(peers)/run.py build/peers $(B)/lfmd

lint: build/venv/ready format-check ## layers, sizes, charters, formatting
	@python3 tests/lint/check.py
format-check: build/venv/ready
	@$(V)/clang-format --dry-run -Werror $(laid_out) 2>&1 | grep -o '^[^:]*\.[ch]:' | \
	    sort | uniq -c | sed 's/:$$/ is not laid out: make format/' > build/layout; \
	    cat build/layout; test ! -s build/layout
format: build/venv/ready ## rewrite the layout of every C file
	$(V)/clang-format -i $(laid_out)

FUZZ_SECONDS ?= 60
fuzz: $(openapi).c ## fuzz every parser for FUZZ_SECONDS each (needs clang)
	@mkdir -p build/fuzz
	@for t in $(fuzz); do \
	    $(CLANG) -std=c11 -D_POSIX_C_SOURCE=200809L -g -O1 -I. -mavx2 -mfma -mf16c \
	        -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	        tests/fuzz/fuzz_$$t.c $(src_api) $(openapi).c $(src_server) $(src_model) \
	        $(src_testlib) -o build/fuzz/$$t $(LIBS) -lcmocka -pthread && \
	    mkdir -p build/fuzz/corpus-$$t && \
	    build/fuzz/$$t -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=2048 \
	        build/fuzz/corpus-$$t $$(ls -d tests/fuzz/corpus/$$t 2>/dev/null) \
	        || exit 1; done

bench_bin := $(B)/lfmd $(bench) $(filter $(B)/tests/kernels/%,$(unit_bin))
bench-programs: $(bench_bin)
bench: bench-programs ## side by side with llama.cpp: tests/bench/RESULTS.md; QUICK=1: 3 minutes
	@python3 tests/bench/bench.py $(if $(QUICK),--quick) $(ARGS)
bench-quality: bench-programs ## how far from the float forward, both
	@python3 tests/bench/quality.py $(ARGS)
bench-serving: bench-programs ## scheduler and prefix cache beside llama.cpp's: RESULTS.md, 10 minutes
	@python3 tests/bench/serving.py $(ARGS)
bench-clean: ## remove what the benchmarks keep outside the tree
	@python3 tests/bench/bench.py --clean

docker: ## build the container image lfmd:$(VERSION)
	docker build -t lfmd:$(VERSION) .

PREFIX ?= /usr/local
install: build/lfmd ## install under PREFIX
	install -D -m 755 build/lfmd $(DESTDIR)$(PREFIX)/bin/lfmd
	mkdir -p $(DESTDIR)$(PREFIX)/share/lfmd/demo
	cp model/demo/*.json model/demo/*.jinja model/demo/*.safetensors \
	    $(DESTDIR)$(PREFIX)/share/lfmd/demo/

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

-include $(shell find $(B) -name '*.d' 2>/dev/null)
