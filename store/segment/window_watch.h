// A build that records what is done inside windows (preset `watched`; ci/sanitize windows runs every test in it):
// store/watch/ then steps each thread from where it opens a window to where it closes it. In all other builds nothing.
#pragma once

namespace lightning {

#ifdef LIGHTNING_WATCH_WINDOWS
void WindowOpens();   // the last thing that opening does
void WindowCloses();  // the first thing that closing does, and that a process does which gives up inside a window
#else
inline void WindowOpens() {}
inline void WindowCloses() {}
#endif

}  // namespace lightning
