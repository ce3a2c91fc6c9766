// How the campaign's page looks.
#pragma once

#include <string_view>

namespace lightning::faults {

inline constexpr std::string_view kPageStyle = R"(
:root { color-scheme: light dark; --paper: #fbfbf9; --ink: #1d2126; --soft: #68707a; --line: #dcdfe3; --lane: #eeefec;
  --before: #7d8fa3; --after: #2f6fb3; --between: #8a63a8; --same: #c3c8ce; --bad: #c4372c; --good: #3d8a5f; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e5e8eb; --soft: #98a1ab; --line: #31373e;
  --lane: #20252b; --before: #7b8a9b; --after: #4f97dd; --between: #a884c6; --same: #454d56; --bad: #e2645a;
  --good: #55ab7e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2.2rem 1.6rem 3rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.05rem; margin: 2.4rem 0 .5rem; }
p { margin: .3rem 0; max-width: 60rem; } .soft { color: var(--soft); } .small { font-size: .84rem; }
.bad { color: var(--bad); } .good { color: var(--good); } .nobr { white-space: nowrap; }
code, pre, td.mono { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 14px; }
pre { background: var(--lane); padding: .5rem .8rem; border-radius: 6px; overflow-x: auto; margin: .3rem 0 1rem; }
.failure { border-left: 3px solid var(--bad); padding-left: 1rem; margin: .8rem 0; white-space: pre-wrap;
  overflow-wrap: anywhere; } .failure pre { white-space: pre; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .94rem; }
th { text-align: left; font-weight: 600; color: var(--soft); white-space: nowrap; }
th, td { padding: .28rem 1.4rem .28rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.folder td { font-weight: 600; } tr.file td:first-child { padding-left: 1.2rem; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--soft); }
.bar { display: inline-block; width: 7rem; height: .55rem; border-radius: 3px; background: var(--lane);
  overflow: hidden; } .bar i { display: block; height: 100%; background: var(--after); }
.op { display: grid; grid-template-columns: 9.5rem 1fr; padding: .55rem 0 .35rem; border-top: 1px solid var(--line); }
svg { display: block; width: 100%; height: 28px; } path { fill: none; stroke-width: 1; vector-effect:
  non-scaling-stroke; } rect.b { fill: var(--before); opacity: .45; } rect.a { fill: var(--after); opacity: .6; }
rect.m { fill: var(--between); opacity: .6; } rect.f { fill: var(--bad); } path.b { stroke: var(--before); }
path.a { stroke: var(--after); } path.m { stroke: var(--between); } path.d { stroke: var(--same); }
path.f { stroke: var(--bad); stroke-width: 3; }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: .4rem 0 .8rem; font-size: .88rem;
  color: var(--soft); } .key i { display: inline-block; width: 1.3em; height: .7em; border-radius: 2px;
  margin-right: .45em; } i.b { background: var(--before); } i.a { background: var(--after); }
i.m { background: var(--between); } i.d { background: var(--same); } i.f { background: var(--bad); }
@media (max-width: 44rem) { .op { grid-template-columns: 1fr; } }
)";

}  // namespace lightning::faults
