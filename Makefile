# Two commands do everything on a machine with the .NET 10 SDK: make run, make test.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help build run test crash power floods load flips fuzz fuzz-corpus mutants soak model bench bench-long bench-micro deps fmt clean

export DOTNET_NOLOGO := 1
export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_GENERATE_ASPNET_CERTIFICATE := false

# dotnet and its packages want a home they can write to.
ifneq ($(shell [ -n "$$HOME" ] && [ -d "$$HOME" ] && [ -w "$$HOME" ] && echo yes),yes)
export HOME := $(CURDIR)/artifacts/home
export DOTNET_CLI_HOME := $(HOME)
$(shell mkdir -p '$(HOME)')
endif

CFLAGS := -std=gnu11 -O2 -Wall -Wextra -Werror
PROGRAMS := Server Witness Cli

help:
	@echo 'make run      builds, starts a log and a witness on loopback, appends a first entry; stays in the foreground'
	@echo 'make test     everything CI runs; the last line is "N passed, N failed"; TESTS="Core shim model format" runs only those'
	@echo 'make power    200 losses of power on ext4 and xfs images, with controls (some 5 minutes; needs root and loop devices, else code 77)'
	@echo 'make soak     a log and witnesses under load for 30 minutes, with kills, bad witnesses and full disks (the last needs root)'
	@echo 'make floods   slow, idle, endless and dying connections by the thousand against log and witness, with a normal client beside (some 15 minutes); prints the figures'
	@echo 'make load     a log and a witness at full load for 10 minutes, with 1,500 slow readers of each large answer, a lying witness and full pipes (20 GB of disk; some 15 minutes)'
	@echo 'make crash    every fault at every storage call of the log and the witness (45 minutes; DEVTLOG_CRASH_MINUTES); artifacts/crash/table.md'
	@echo 'make model    the models of the commit and of the witness, with the mutants that must fail (some 30 s; needs spin)'
	@echo 'make flips    one bit of every byte of every file of a log and of a witness, one at a time; prints what became of each (some half an hour)'
	@echo 'make fuzz     every parser of foreign bytes under a fuzzer; SECONDS=600 for each (else 60), TARGETS="note policy" only those; ends with 1 on a finding'
	@echo 'make fuzz-corpus   takes what make fuzz found here into tests/Fuzz/corpus, as few inputs as take every edge'
	@echo 'make mutants  every change that dotnet-stryker knows, one at a time, in PROJECTS="Core Storage", under the tests of the project; MINUTES=20 for each project (else all, an hour or more); ends with 1 if one lives unexplained'
	@echo 'make bench    our figures beside the limits of this machine, a table and a chart (some 10 minutes; needs wrk); BEFORE=DIR: beside the programs of another build'
	@echo 'make bench-long    large logs and long runs (some 35 minutes, 25 GB of disk while it runs)'
	@echo 'make bench-micro   the pure parts one by one, with BenchmarkDotNet (some 3 minutes)'
	@echo 'make build    builds everything; the programs are bin/tlog-server, bin/tlog-witness, bin/tlog'
	@echo 'make deps     installs what the tests want from the system (root), or names it'
	@echo 'make fmt      formats the code'
	@echo 'make clean    removes what was built; ./run, the keys and data of make run, stays'

# The build puts a program and all it loads into one folder of its own; bin/ gets what differs, under a new inode, so that
# a running program keeps the files it has open.
build: bin/fault.so
	@command -v dotnet > /dev/null || { echo 'The .NET 10 SDK is needed (the command dotnet)' >&2; exit 1; }
	@dotnet build TransparencyLog.sln -c Release -v quiet --nologo -nodeReuse:false
	@mkdir -p bin
	@for program in $(PROGRAMS); do \
	  from=artifacts/bin/TransparencyLog.$$program/release; \
	  (cd $$from && find . -type f ! -name '*.xml') | while read -r file; do \
	    cmp -s "$$from/$$file" "bin/$$file" || install -D --mode="$$(stat -c %a "$$from/$$file")" "$$from/$$file" "bin/$$file" || exit 1; \
	  done || exit 1; \
	done

run: build
	@src/run

test: deps build artifacts/shim/victim
	@tests/run $(TESTS)

power: deps build
	@tests/long power

soak: deps build
	@tests/long soak

floods: build
	@tests/long floods

load: build
	@tests/long load

crash: build
	@test -e bin/fault.so || { echo 'make crash needs a C compiler (make deps)' >&2; exit 1; }
	@artifacts/bin/TransparencyLog.Tests.EndToEnd/release/TransparencyLog.Tests.EndToEnd -noLogo -noColor -explicit only -class TransparencyLog.Tests.EndToEnd.CrashCampaign -showLiveOutput

model:
	@spec/model/run

flips:
	@tests/flips

fuzz: FUZZ := Every_parser_for_a_time
fuzz-corpus: FUZZ := Minimise_the_corpus
fuzz fuzz-corpus:
	@dotnet build tests/Fuzz -c Release -v quiet --nologo -nodeReuse:false
	@DEVTLOG_FUZZ_SECONDS='$(SECONDS)' DEVTLOG_FUZZ_TARGETS='$(TARGETS)' \
	  artifacts/bin/TransparencyLog.Tests.Fuzz/release/TransparencyLog.Tests.Fuzz -noLogo -noColor -explicit only -method '*.FuzzCampaign.$(FUZZ)' -showLiveOutput

mutants:
	@DEVTLOG_MUTANTS_FILES='$(FILES)' DEVTLOG_MUTANTS_MINUTES='$(MINUTES)' tests/mutants $(PROJECTS)

bench: build
	@bench/run $(if $(BEFORE),compare '$(BEFORE)',suite)

bench-long: build
	@bench/run long

bench-micro:
	@dotnet build bench/micro -c Release -v quiet --nologo -nodeReuse:false
	@artifacts/bin/TransparencyLog.Bench.Micro/release/bench-micro artifacts/bench-micro bench/results

deps:
	@tests/deps

fmt:
	@dotnet format TransparencyLog.sln

clean:
	@rm -rf artifacts bin

# Without a C compiler there is no shim; the tests that need it are skipped then, and say so.
bin/fault.so: tests/shim/fault.c tests/shim/calls.c tests/shim/fault.h
	@mkdir -p $(@D)
	@if command -v cc > /dev/null; then cc $(CFLAGS) -fPIC -shared -fvisibility=hidden -o $@ $(filter %.c,$^) -ldl -lpthread; fi

artifacts/shim/victim: tests/shim/victim.c
	@mkdir -p $(@D)
	@if command -v cc > /dev/null; then cc $(CFLAGS) -o $@ $< -ldl -lpthread; fi
