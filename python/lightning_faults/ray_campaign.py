"""One campaign over many seeds, on this machine or spread over those of a Ray cluster, with the same verdicts.

  python3 -m lightning_faults.ray_campaign --program build/release/bin/lightning-faults --seeds 64 --schedules 2000 \\
      --ray auto --tasks 16 --json campaign.json

`lightning-faults run --seeds N [--ray]` starts it. Each seed is one `lightning-faults run`, bounded by a count, so that
where and when it runs changes nothing: a seed's schedules, crash states and first failure follow from the seed. Seeds
go to tasks round robin; a task takes the programs along, so that all machines run the same bytes. Failures' folders
come home. Exit status: 0 nothing was found, 1 a failure was found, 2 wrong usage, 77 cannot run here.
"""

import argparse
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

# Sums over the seeds. What is a time or a rate differs from run to run and is left out.
COUNTS = ("operations", "points", "plans", "schedules", "kills", "crash_states", "distinct", "instructions")
PROGRAMS = ("lightning-faults", "lightning-faults-sim")
CANNOT_RUN = 77


def seeds_of_task(first, count, task, tasks):
    return list(range(first, first + count))[task::tasks]


def run_seed(program, arguments, seed):
    """One run: {"seed", "status", "host", "report", "files"}. A folder of the failure: its files by name."""
    with tempfile.TemporaryDirectory(prefix="lightning-campaign-") as folder:
        home = pathlib.Path(folder)
        run = subprocess.run([program, "run", "--seed", str(seed), *arguments, "--quiet", "--json", home / "run.json",
                              "--folder", home / "failures"], capture_output=True, text=True, check=False, cwd=folder)
        report = json.loads((home / "run.json").read_text()) if (home / "run.json").exists() else None
        files = {str(path.relative_to(home / "failures")): path.read_bytes()
                 for path in (home / "failures").rglob("*") if path.is_file()}
        for failure in (report or {}).get("failures", []):
            failure["folder"] = pathlib.Path(failure.get("folder", "")).name
        return {"seed": seed, "status": run.returncode, "host": socket.gethostname(), "report": report, "files": files,
                "said": run.stderr[-2000:]}


def unpack(programs):
    """The programs of the machine that started the campaign, on this one; the first one's path."""
    digest = hashlib.sha256(b"".join(programs.values())).hexdigest()[:16]
    folder = pathlib.Path(tempfile.gettempdir()) / f"lightning-programs-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, content in programs.items():
        if not (folder / name).exists():
            # Another task may do the same at this moment: nobody sees half a program.
            handle, made = tempfile.mkstemp(dir=folder)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(made, 0o700)
            os.rename(made, folder / name)
    return str(folder / PROGRAMS[0])


def run_task(programs, arguments, seeds):
    program = unpack(programs)
    return [run_seed(program, arguments, seed) for seed in seeds]


def over_ray(address, tasks, programs, arguments, seeds_of):
    import ray

    ray.init(address=None if address == "local" else address, num_cpus=tasks if address == "local" else None,
             include_dashboard=False, log_to_driver=False, logging_level="warning")
    try:
        shared = ray.put(programs)
        # The function travels by value: the other machines need not have this package.
        ray.cloudpickle.register_pickle_by_value(sys.modules[run_task.__module__])
        task = ray.remote(num_cpus=1)(run_task)
        waiting = [task.remote(shared, arguments, seeds_of(n)) for n in range(tasks)]
        return [run for runs in ray.get(waiting) for run in runs]
    finally:
        ray.shutdown()


def merge(runs, options):
    """One object; failures' folders are written under options.folder, and each failure has its command."""
    runs = sorted(runs, key=lambda run: run["seed"])
    merged = {"engine": options.engine, "seed": options.seed, "seeds": len(runs), "failures": [],
              "hosts": sorted({run["host"] for run in runs}),
              "runs": [{"seed": run["seed"], "status": run["status"]} for run in runs]}
    for name in COUNTS:
        if any(name in (run["report"] or {}) for run in runs):
            merged[name] = sum((run["report"] or {}).get(name, 0) for run in runs)
    for run in runs:
        home = pathlib.Path(options.folder) / f"seed-{run['seed']}"
        for name, content in run["files"].items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(content)
        failures = (run["report"] or {}).get("failures", [])
        for failure in failures:
            folder = str(home / failure["folder"])
            merged["failures"].append({**failure, "seed": run["seed"], "folder": folder,
                                       "replay": f"lightning-faults replay {folder}"})
        if run["status"] not in (0, CANNOT_RUN) and not failures:
            merged["failures"].append({"class": "the run did not end well", "seed": run["seed"], "folder": "",
                                       "what": f"exit status {run['status']}: {run['said']}",
                                       "replay": f"lightning-faults run --seed {run['seed']} "
                                                 + " ".join(run_arguments(options))})
    return merged


def run_arguments(options):
    words = ["--engine", options.engine, "--depth", str(options.depth)]
    if options.engine == "sim":
        words += ["--schedules", str(options.schedules), *(["--memory", options.memory] if options.memory else [])]
    else:
        words += ["--seconds", str(options.seconds)]
    return words


def parse(arguments):
    parser = argparse.ArgumentParser(prog="lightning_faults.ray_campaign", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="lightning-faults; lightning-faults-sim stands beside it")
    parser.add_argument("--engine", choices=("sim", "step", "real"), default="sim",
                        help="sim alone is bounded by a count; the others take --seconds a seed, and their counts vary")
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--seeds", type=int, default=16, help="how many")
    parser.add_argument("--schedules", type=int, default=1000, help="of each seed (sim)")
    parser.add_argument("--seconds", type=float, default=30, help="of each seed (step, real)")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--memory", default="")
    parser.add_argument("--ray", metavar="ADDRESS", help="auto, ray://HOST:PORT, HOST:PORT, or local: a cluster of this "
                                                         "machine alone; without it no Ray at all")
    parser.add_argument("--tasks", type=int, default=2, help="how many run at a time (with --ray)")
    parser.add_argument("--json", help="writes the merged object")
    parser.add_argument("--folder", default="lightning-failures")
    options = parser.parse_args(arguments)
    if min(options.seeds, options.tasks, options.schedules) < 1:
        parser.error("--seeds, --tasks and --schedules are at least 1")
    return options


def main(arguments=None):
    options = parse(arguments)
    programs = {}
    for name, path in zip(PROGRAMS, (pathlib.Path(options.program), pathlib.Path(options.program).with_name(PROGRAMS[1]))):
        if path.exists():
            programs[name] = path.read_bytes()
    if PROGRAMS[0] not in programs:
        sys.stderr.write(f"{options.program}: no such program\n")
        return 2
    if options.ray:
        try:
            import ray
        except ImportError:
            sys.stderr.write(f"cannot run here: {sys.executable} has no ray; {sys.executable} -m pip install ray, or "
                             "ci/setup --with-ray\n")
            return CANNOT_RUN

        def seeds_of(task):
            return seeds_of_task(options.seed, options.seeds, task, options.tasks)

        try:
            runs = over_ray(options.ray, options.tasks, programs, run_arguments(options), seeds_of)
        except (ConnectionError, ray.exceptions.RayError) as error:
            # A cluster that fails has found nothing about the store.
            sys.stderr.write(f"cannot run here: Ray: {error}\n")
            return CANNOT_RUN
    else:
        seeds = seeds_of_task(options.seed, options.seeds, 0, 1)
        runs = [run_seed(os.path.abspath(options.program), run_arguments(options), seed) for seed in seeds]
    unable = [run for run in runs if run["status"] == CANNOT_RUN]
    if unable:
        sys.stderr.write(f"cannot run here: on {unable[0]['host']}: {unable[0]['said']}\n")
        return CANNOT_RUN
    merged = merge(runs, options)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(merged, indent=2) + "\n")
    counts = ", ".join(f"{merged[name]} {name.replace('_', ' ')}" for name in COUNTS if name in merged)
    print(f"{len(runs)} seeds on {len(merged['hosts'])} machines: {counts}")
    for failure in merged["failures"]:
        print(f"FOUND  {options.engine}: {failure['what']}\n       again: {failure['replay']}")
    if not merged["failures"]:
        print("nothing was found")
    return 1 if merged["failures"] else 0


if __name__ == "__main__":
    # By its name, not __main__: what tasks are sent must be found there.
    from lightning_faults import ray_campaign

    sys.exit(ray_campaign.main())
