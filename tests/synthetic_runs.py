"""Synthetic records for the tests of tables and report."""

import json

import numpy as np

RANGES = {"auroc": 0.0, "auprc": -0.05, "brier": -0.5, "ece": -0.6}
KEPT = ((1, "auroc"), (1, "auprc"), (0, "brier"), (0, "ece"))


def make_run(
    folder, learner="maml", seed=0, *, benchmark="heart", tasks=3, episodes=40, shots=(8, 16),
    lift=0.0, boot=True, clusters=None, names=None, status="complete", run_id=None, digest="e1",
    environment=None, **config,
):  # fmt: skip
    """Write one record: episodes are the same for all learners, `lift` is the learner's own."""
    own = np.random.default_rng([seed, *learner.encode()])
    shared = np.random.default_rng(5)
    clusters = list(range(tasks)) if clusters is None else clusters
    names = [f"t{i}" for i in range(tasks)] if names is None else names
    home = folder / "runs" / (run_id or f"{benchmark}-{learner.encode().hex()}-{seed}")
    home.mkdir(parents=True)
    config = {"suite": "disease", "benchmark": benchmark, "learner": learner, "seed": seed,
              "shots": list(shots)} | config  # fmt: skip
    result = {"status": status, "protocol": "disjoint", "tasks": names, "clusters": clusters,
              "episodes_digest": digest, "seconds": {"fit": 1.0}, "steps": 5}  # fmt: skip
    environment = environment or {"commit": "abc", "packages": {"jax": "0.10.2"}}
    for name, part in (("config", config), ("result", result), ("environment", environment)):
        (home / f"{name}.json").write_text(json.dumps(part))
    if status == "diverged":
        return home
    k, d, e = (a.ravel() for a in np.meshgrid(shots, [0, 1], np.arange(episodes), indexing="ij"))
    task = (e % tasks).astype(np.int32)
    level = np.linspace(0.6, 0.8, tasks)[task] + k / 400 + 0.1 * d + lift
    s = {"shots": k.astype(np.int32), "draw": d.astype(np.int8), "episode": e.astype(np.int32),
         "task": task, "cluster": np.asarray(clusters, np.int32)[task]}  # fmt: skip
    for metric, base in RANGES.items():
        noise = shared.normal(0, 0.05, len(task)) + own.normal(0, 0.01, len(task))
        s[metric] = (level + base + noise).astype(np.float32)
    s["auroc"][e == 4] = np.nan
    s["nonfinite"] = (e == 5).astype(np.int8) if learner == "broken" else np.zeros(len(e), np.int8)
    s["prevalence"] = np.where(d == 1, 0.5, 0.2).astype(np.float32)
    if boot:
        where = [(n, *draw_metric) for n in shots for draw_metric in KEPT]
        both = np.random.default_rng(9).normal(0, 0.03, (len(where), tasks, 200))
        s |= {
            "boot": (both + own.normal(0, 0.003, both.shape)).astype(np.float16),
            "boot_shots": np.array([w[0] for w in where], np.int32),
            "boot_draw": np.array([w[1] for w in where], np.int8),
            "boot_metric": np.array([w[2] for w in where]),
            "boot_task": np.arange(tasks, dtype=np.int32),
        }
    p, n = (np.arange(10) + 0.5) / 10, np.full(10, 100.0)
    sums = np.stack([p * n, np.clip(p + lift, 0, 1) * n, n], -1)
    s["calibration"] = np.broadcast_to(sums, (len(shots), 2, 10, 3)).astype(np.float32)
    s["calibration_shots"] = np.array(shots, np.int32)
    np.savez(home / "scores.npz", **s)
    return home


def scores_of(home):
    """The score columns of a record."""
    with np.load(home / "scores.npz") as archive:
        return {name: archive[name] for name in archive.files}


def rewrite(home, **columns):
    """Replace columns of a record's scores."""
    np.savez(home / "scores.npz", **(scores_of(home) | columns))
