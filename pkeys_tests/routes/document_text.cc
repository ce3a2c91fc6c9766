#include "pkeys_tests/routes/document_text.h"

namespace lightning::routes {

const char* const kIntroduction = R"(# What the store withstands

*This page is made from the table in `pkeys_tests/routes/` by `ci/isolation --docs`; a test compares the two. To see what
your own machine says, run `ci/isolation`: it tries every row below, each judged by a second process that compares the bytes of
the segment's file, and each beside a control that shows that the same write lands where it is allowed.*

All clients map one segment. A wild pointer, an overrun, a use after free in one of them could therefore spoil the state of
all. Isolation keeps such accidents in the process where they happen. It is not a defence against a program that wants to do
harm: that program has the file's name and its user's rights.

Each client maps the segment twice. All reads go through a view that is read-only in every mode but `none`. All writes go
through a second mapping, which is writable only while a window is open: a few microseconds inside an operation, without any
system call or code of yours in between. What "only" means is the mode's:

- **`keys`**: the processor checks each access against the rights of the thread (memory protection keys). Nothing else in the
  process gains anything by a window: no other thread, no signal handler, no system call of another thread. This is the mode
  to want, and the default where the processor has keys.
- **`mprotect`**: page permissions. While no window is open a stray write faults as it does in `keys`. While one is, the few
  pages that the transaction touches are open to every thread of the process. The default where there are no keys.
- **`hidden`**: the writable mapping stands at a random address between gigabytes without access. Overruns and wild pointers
  miss it; a write that is aimed at it lands.
- **`none`**: no protection, only when asked for by name.

`lightning-store stat` says which mode is in force.

**How to decide.** Read "what remains" below. If nothing there is an accident that your programs could have, the store
withstands what they do. Two calls close most of what is left: `lightning::Harden()` after the last `Connect` turns what
reaches round the mappings (writing to the file, `/proc/self/mem`, `process_vm_writev`, `ptrace`, `mprotect` on the store's
pages) into an error, and `lightning::Audit()` (in C `lightning_audit()`), now and then, finds a mapping that has lost its
protection.

**Stopped** means that no byte changed, and that a fault or an error showed it. **Detected** means that the write can land, and
that the store notices before it goes on: at the next operation of that thread, or in an audit. By default the process
then ends with a message that says what to look for; a program that has set a handler gets `kIsolationBroken`. **Out of
scope** means that nothing in the store stops it: such rows are run as well, each must land, and one that does not is a
failure like any other. **Not run** means that no machine so far had what the row needs.

)";

const char* const kRemainsText = R"(
## What remains, for whoever must decide

This is what a stray write can still do in a process that has called `Harden()` after its last `Connect` and calls `Audit()`
now and then, by the table. A name is a route or a context of the tables at the end.

)";

const char* const kHowOftenText = R"(
What to make of it, mode by mode:

- **`keys`**. No stray store of the program's own lands but through rights that somebody left open. What is left are signal
  frames (a stack pointer or an alternate stack inside the segment, which no stray pointer alone makes), pages removed
  through `io_uring` or `process_madvise`, which know no keys and pass the filter, and what is born inside a window: a `vfork`
  child, a kernel thread or registered buffers of an `io_uring`. No window of the store makes any of these, and that was watched:
  [no system call, no call through a pointer in any window](hardening.md#what-shows-it), over the whole test suite; every
  instruction that changes rights is [one of the gate's](binary-audit.md), in your program too if you run the audit on it.
- **`mprotect`**. All that, and the windows: while one is open, the few pages of its transaction are open to every thread of
  the process. Of stores fired while a client of the same process was at work, one in fourteen landed, most of them aimed;
  of those fired while none was, not one ([stray-writes.md](stray-writes.md#figures)).
- **`hidden`**. What does not know the address misses: of some two million wild and near stores none landed. What knows it, or is
  handed it by mistake, lands, always, and so does the kernel on its behalf ([the same figures](stray-writes.md#figures)).
- **`none`**. Everything lands.

**"Detected" is after the fact.** The write had landed, or could have, by the time anybody noticed: an open window is seen by the
next operation *of that thread*, a changed mapping by the next audit or the next client that attaches. Until then every
store of that thread, or into that mapping, lands. What the detection buys is that the damage does not go on unnoticed.

**Threads that are older** than the call of `Harden` are not held by Landlock (they are by the filter): they can still open the
file for writing. Threads older than the key cannot write: they have no rights to it at all. Descriptors that were open before
stay open. A process that never hardened itself, but has the segment's name, can do everything to the file that its user can.

**Windows under fire**: ten million windows under signals, starting and ending threads and forks, in modes `hidden`, `none`,
`mprotect` and, emulated, `keys`: no leak, no wrong right, no lost write ([hardening.md](hardening.md#what-shows-it)).
)";

const char* const kOutOfScopeText = R"(
## Out of scope

By reason, without hardening and with it (`_sealed`, `_hardened`).

)";

const char* const kDetectedText = R"(
## Detected

What an audit finds was found by calling it; nothing calls it by itself but `Connect`. What the next operation finds was found
by one, after the write had landed where it could. [hardening.md](hardening.md) says how a program takes part in it.

)";

const char* const kStoppedText = R"(
## Stopped

Some of each kind; all stand at the end.

)";

const char* const kCostsText = R"(
## What it costs

)";

const char* const kCostsReadingText = R"(
One client, a segment of 16 MiB, the best of many rounds. Measured on:

)";

const char* const kCostsEndText = R"(
`ci/isolation --costs` measures it on yours, `keys` too where it has them. In an emulated machine it does not: what is measured
there is no cost of keys. The figures for `keys` above are of single steps, taken before the gate was written: a window with
the gate's sequence (read the rights, write them, compare; to read them takes 3.8 ns, to write them 12.5 ns), which costs the
same for however many pages. What was not measured there is to be expected as in `hidden`, plus one read of the rights at
the entry and a window's cost for each that the operation opens; a `get` opens none in any mode. With other programs on all
processors `mprotect` costs two to three times as much; the others do not change. [hardening.md](hardening.md) says what seals
and hardening cost an operation.

)";

const char* const kLanesText = R"(## Hardware and emulation

Rows of mode `keys` run on the hardware where it has protection keys, and else in an emulated machine: QEMU's software
processor under Linux 6.12, which `ci/isolation` starts by itself. The `lane` of each result says which. The emulation is
strict where it matters (each load and store is checked against the rights of the thread), but it is not the hardware:
it shows that the store's use of the keys is right, not that a processor implements them well.

Before the gate was written, most routes were tried by hand on hardware (Cascade Lake, kernel 6.18), against a plain keyed
mapping: every kind of store, threads, handlers, system calls, changes to mappings and rights. What was stopped there is
stopped here, and each way that was found there to change bytes is a row here: the store's own is stopped
(`out_parameter_of_stats`), some more are found, and what lands still is out of scope above.

The last run of all rows (`ci/isolation --record`):

)";

const char* const kRowsText = R"(
How the kernel refuses may differ, too: an `rseq` area in the segment is refused when it is registered (Linux 6.12), or ends
the thread that registered it (others). Signal frames are written to the segment since Linux 6.12; before, the process dies.

## Every row

The test of a row is `Isolation/MODE.ROUTE/TARGET/CONTEXT`, and `ci/isolation --filter 'MODE.ROUTE/TARGET/CONTEXT'` runs it
alone. Routes are named for the instruction or call that writes, contexts for who makes it and when. `_sealed` and `_hardened`
mean that the client was attached with `Options::seal`, or that the process had called `Harden()`.

)";

}  // namespace lightning::routes
