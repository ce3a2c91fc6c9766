// Records what a thread asks for between two moments, without a cost to all that it does else: system calls, which the
// kernel hands to a handler (Syscall User Dispatch, Linux 5.11); the functions of allocation, of throwing and of the
// vDSO, which stand before those of the C library (forbidden_functions.cc); and calls and jumps through pointers, which
// this build makes by thunks (gcc's -mindirect-branch=thunk-extern). That of the C library's own code it does not see.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include "store/watch/deeds.h"

namespace lightning {

// Once, before all else.
void StartRecorder();

// What is recorded from now on, until this is called again, is code of this stack pointer's function and what it calls.
// Handlers that interrupt it are not, whatever they do.
void SetRecordedStack(const void* stack);

// From here to EndRecording() this thread's deeds are reported, the first one: then it ends by itself. False where the
// kernel has no such dispatch; the rest is recorded there too.
bool BeginRecording();
void EndRecording();

// Makes the code that was interrupted with these registers, by a handler that calls this, begin recording where it goes
// on.
void RecordAfterwards(greg_t* registers);

// Whether the instruction is one of a thunk: where it was called from stands on top of the stack.
bool IsThunk(uint64_t at);

// Of a SIGTRAP: whether it is that of a thunk, and then what is to be reported was.
bool OnThunkTrap(const siginfo_t& info, const greg_t* registers);

// Of a function that may not be called, by its first instruction.
void CalledForbidden(const void* function, const void* caller);

// This thread's deeds are reported. Read by the thunks.
extern "C" thread_local int lightning_recording __attribute__((tls_model("initial-exec")));

}  // namespace lightning
