"""Tables against numbers computed by hand from the same records."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from metajax import tables
from metajax.tables.layout import cell, footer, number, order, part
from scripts.table import main
from tests.synthetic_runs import make_run, rewrite, scores_of

FIRST = "suite benchmark learner shots metric mean low high tasks seeds".split()


def row(table, learner="maml", benchmark="heart", shots=8, metric="auroc"):
    found = table[(table.learner == learner) & (table.benchmark == benchmark)]
    found = found[(found.shots == shots) & (found.metric == metric)]
    assert len(found) == 1
    return found.iloc[0]


def by_hand(home, metric, shots, draw):
    """Mean of each task's defined episodes, in a plain loop."""
    s = scores_of(home)
    means = {}
    for i in range(len(s["task"])):
        if s["shots"][i] == shots and s["draw"][i] == draw and not np.isnan(s[metric][i]):
            means.setdefault(int(s["task"][i]), []).append(float(s[metric][i]))
    return np.array([np.mean(means[t]) for t in sorted(means)])


def test_means_over_episodes_seeds_and_tasks(tmp_path):
    homes = [make_run(tmp_path, seed=s) for s in (0, 1)]
    table = tables.long_table(tables.load_runs(tmp_path))
    assert list(table.columns[:10]) == FIRST
    assert list(table.columns) == tables.COLUMNS
    assert not table.duplicated(FIRST[:5]).any()
    for metric, draw in (("auroc", 1), ("brier", 0), ("prevalence", 1)):
        each = np.stack([by_hand(h, metric, 8, draw) for h in homes])
        got = row(table, metric=metric)
        assert got["mean"] == pytest.approx(each.mean(), abs=1e-6)
        assert got["seed_sd"] == pytest.approx(each.mean(1).std(ddof=1), abs=1e-6)
        assert (got["draw"], got["tasks"], got["seeds"]) == (tables.DRAWS[draw], 3, 2)
        one = row(table, benchmark="heart/t2", metric=metric)
        assert one["mean"] == pytest.approx(each[:, 2].mean(), abs=1e-6)
        assert one["tasks"] == 1 and np.isnan(one["seed_sd"])
    # episode 4 is undefined once per seed; it belongs to task 1
    assert row(table)["undefined"] == 2
    assert row(table, benchmark="heart/t1")["undefined"] == 2
    assert row(table, benchmark="heart/t0")["undefined"] == 0


def test_a_task_without_defined_episodes_is_left_out_not_zero(tmp_path):
    home = make_run(tmp_path)
    s = scores_of(home)
    rewrite(home, auroc=np.where(s["task"] == 0, np.nan, s["auroc"]).astype(np.float32))
    got = row(tables.long_table(tables.load_runs(tmp_path)))
    assert got["tasks"] == 2
    assert got["mean"] == pytest.approx(by_hand(home, "auroc", 8, 1).mean(), abs=1e-6)


def test_few_clusters_take_the_patient_replicates(tmp_path):
    homes = [make_run(tmp_path, seed=s) for s in (0, 1)]
    table = tables.long_table(tables.load_runs(tmp_path))
    s = [scores_of(h) for h in homes]
    at = [i for i in range(8) if s[0]["boot_shots"][i] == 8 and s[0]["boot_metric"][i] == "auroc"]
    assert len(at) == 1
    kept = np.mean([x["boot"][at[0]].astype(np.float64) for x in s], axis=0)
    got = row(table)
    low, high = np.quantile(kept.mean(axis=0), [0.025, 0.975])
    assert got["low"] == pytest.approx(got["mean"] + low, abs=1e-9)
    assert got["high"] == pytest.approx(got["mean"] + high, abs=1e-9)
    assert got["interval"] == "patients, these tasks only" and got["clusters"] == 3
    one = row(table, benchmark="heart/t1")
    assert one["low"] == pytest.approx(one["mean"] + np.quantile(kept[1], 0.025), abs=1e-9)
    # prevalence has no replicates
    assert row(table, metric="prevalence")["interval"] == "none"


def test_a_seed_without_replicates_gives_no_interval(tmp_path):
    make_run(tmp_path, seed=0)
    make_run(tmp_path, seed=1, boot=False)
    got = row(tables.long_table(tables.load_runs(tmp_path)))
    assert np.isnan(got["low"]) and got["interval"] == "none" and np.isfinite(got["mean"])


def test_many_clusters_resample_clusters(tmp_path):
    # 24 tasks in 12 unequal clusters: the mean is over tasks, the interval is centred on it
    clusters = [*range(12), *range(8), 0, 0, 11, 11]
    home = make_run(tmp_path, tasks=24, episodes=96, clusters=clusters)
    got = row(tables.long_table(tables.load_runs(tmp_path)))
    means = by_hand(home, "auroc", 8, 1)
    assert (got["interval"], got["clusters"], got["tasks"]) == ("clusters", 12, 24)
    assert got["mean"] == pytest.approx(means.mean(), abs=1e-6)
    # an independent resampling of whole clusters, with every task of a drawn cluster
    rng, label = np.random.default_rng(3), np.asarray(clusters)
    drawn = []
    for _ in range(3000):
        take = np.concatenate([np.flatnonzero(label == c) for c in rng.integers(12, size=12)])
        drawn.append(means[take].mean())
    half = (got["high"] - got["low"]) / 2
    # Student's quantile and n - 1 widen the plain percentile interval
    expected = np.std(drawn) * stats.t.ppf(0.975, 11) * np.sqrt(12 / 11)
    assert half == pytest.approx(expected, rel=0.15)
    assert (got["high"] + got["low"]) / 2 == pytest.approx(got["mean"], abs=0.2 * half)


def test_one_draw_serves_when_the_other_is_missing(tmp_path):
    home = make_run(tmp_path)
    s = scores_of(home)
    rewrite(home, draw=np.ones_like(s["draw"]))
    assert row(tables.long_table(tables.load_runs(tmp_path)), metric="brier")["draw"] == "balanced"


def test_diverged_runs_are_shown(tmp_path):
    make_run(tmp_path)
    make_run(tmp_path, "reptile", 0)
    make_run(tmp_path, "reptile", 1, status="diverged")
    make_run(tmp_path, "anil", 0, status="diverged")
    runs = tables.load_runs(tmp_path)
    table = tables.long_table(runs)
    got = row(table, "reptile")
    assert np.isnan(got["mean"]) and np.isnan(got["low"]) and got["seeds"] == 2
    assert got["interval"] == "diverged: 1 of 2"
    assert row(table, "anil", shots=16)["interval"] == "diverged: 1 of 1"
    assert order(part(table, "disease", "heart"), "auroc") == ["maml", "anil", "reptile"]
    (grid,) = tables.grids(table, runs, ["auroc"])
    assert grid.ranks.mean == {"maml": 1.0, "anil": 2.5, "reptile": 2.5}
    assert grid.bold == {("maml", 8), ("maml", 16)}
    page = tables.markdown(table, runs)
    assert "| anil | diverged: 1 of 1 | diverged: 1 of 1 | 2.5 |" in page


def test_nonfinite_is_counted(tmp_path):
    make_run(tmp_path, "broken", seed=0)
    make_run(tmp_path, "broken", seed=1)
    runs = tables.load_runs(tmp_path)
    table = tables.long_table(runs)
    assert row(table, "broken")["nonfinite"] == 2
    assert any("broken 8" in line for line in footer(table, runs, ["auroc", "brier"]))


def test_configurations_are_never_averaged_silently(tmp_path):
    make_run(tmp_path, run_id="a", inner={"lr": 0.1})
    make_run(tmp_path, run_id="b", inner={"lr": 0.2})
    names = set(tables.long_table(tables.load_runs(tmp_path)).learner)
    assert names == {"maml (inner.lr=0.1)", "maml (inner.lr=0.2)"}
    make_run(tmp_path, run_id="c", inner={"lr": 0.2})
    with pytest.raises(ValueError, match="runs b and c are both maml"):
        tables.long_table(tables.load_runs(tmp_path))


def test_old_numbers_are_not_averaged_with_new_ones(tmp_path):
    for version, run_id in ((1, "a"), (2, "b")):
        make_run(tmp_path, run_id=run_id, environment={"numbers_version": version})
    names = set(tables.long_table(tables.load_runs(tmp_path)).learner)
    assert names == {"maml (numbers_version=1)", "maml (numbers_version=2)"}


@pytest.mark.parametrize("file", ["config.json", "environment.json", "result.json", "scores.npz"])
@pytest.mark.parametrize("damage", ["torn", "missing"])
def test_a_damaged_record_is_named(tmp_path, file, damage):
    make_run(tmp_path)
    path = make_run(tmp_path, "anil") / file
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.unlink()
    with pytest.raises(ValueError, match=f"{path.parent.name}/{file}"):
        tables.load_runs(tmp_path)


def test_a_record_of_the_wrong_shape_is_named(tmp_path):
    home = make_run(tmp_path)
    rewrite(home, auroc=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"scores.npz.*auroc"):
        tables.load_runs(tmp_path)
    (home / "config.json").write_text(json.dumps({"suite": "disease"}))
    with pytest.raises(ValueError, match=r"config.json.*benchmark, learner"):
        tables.load_runs(tmp_path)


def test_temporary_folders_are_left_out(tmp_path):
    with pytest.raises(ValueError, match="no finished runs"):
        tables.load_runs(tmp_path)
    make_run(tmp_path, run_id="whole")
    for name in (".tmp-1", "x.partial", "x.tmp7", ".tmpx"):
        (tmp_path / "runs" / name).mkdir()
    assert [run.id for run in tables.load_runs(tmp_path)] == ["whole"]


def test_paired_differences(tmp_path):
    a = [make_run(tmp_path, "maml", s, lift=0.02) for s in (0, 1)]
    b = make_run(tmp_path, "lr_cv", 0)
    runs = tables.load_runs(tmp_path)
    found = tables.compare(runs, "heart", "maml", ["lr_cv"], "auroc")
    assert list(found.shots) == [8, 16] and set(found.rival) == {"lr_cv"}
    got = found.iloc[0]
    mean = np.mean([by_hand(h, "auroc", 8, 1) for h in a]) - by_hand(b, "auroc", 8, 1).mean()
    assert got["mean"] == pytest.approx(mean, abs=1e-6)
    ours, theirs = [np.mean([scores_of(h)["boot"][0] for h in hs], axis=0, dtype=np.float64)
                    for hs in (a, [b])]  # fmt: skip
    low, high = np.quantile((ours - theirs).mean(axis=0), [0.025, 0.975])
    assert got["low"] == pytest.approx(mean + low, abs=1e-6)
    assert got["high"] == pytest.approx(mean + high, abs=1e-6)
    # pairing removes what the replicates share
    table = row(tables.long_table(runs))
    assert got["high"] - got["low"] < 0.3 * (table["high"] - table["low"])
    back = tables.compare(runs, "heart", "lr_cv", ["maml"], "auroc").iloc[0]
    assert back["mean"] == pytest.approx(-mean, abs=1e-6)
    assert back["low"] == pytest.approx(-got["high"], abs=1e-6)


def test_paired_differences_over_clusters(tmp_path):
    for name, lift in (("maml", 0.02), ("lr_cv", 0.0)):
        make_run(tmp_path, name, tasks=12, lift=lift, boot=False)
    runs = tables.load_runs(tmp_path)
    got = tables.compare(runs, "heart", "maml", ["lr_cv"], "auroc").iloc[0]
    assert got["interval"] == "clusters" and 0 < got["low"] < got["mean"] < got["high"] < 0.04


def test_what_cannot_be_compared_is_refused(tmp_path):
    make_run(tmp_path)
    make_run(tmp_path, "ridge", digest="other")
    make_run(tmp_path, "lr_cv")
    runs = tables.load_runs(tmp_path)
    with pytest.raises(ValueError, match="same episodes"):
        tables.compare(runs, "heart", "maml", ["ridge"], "auroc")
    with pytest.raises(ValueError, match="no run of 'mamk' on 'heart'; there are lr_cv, maml"):
        tables.compare(runs, "heart", "mamk", ["ridge"], "auroc")
    page = tables.markdown(tables.long_table(runs), runs, meta=["maml"])
    assert "Not on the same episodes: ridge." in page
    assert "Not all learners were scored on the same episodes." in page


def test_cells():
    assert cell(0.7434, 0.7006, 0.7852) == (".743", " [.701, .785]")
    assert cell(0.012, -0.004, 0.1, sign=True) == ("+.012", " [-.004, +.100]")
    assert number(1.2346) == "1.235" and number(1.0) == "1.000" and number(np.nan) == "–"
    assert number(-0.0001) == ".000" and number(-0.5) == "-.500"
    # A squared error is in units of its own: 1e-7 is not nothing.
    shown = [cell(v, v, 2 * v, metric="mse") for v in (0.0, 0.2, 1e-7, 3e30)]
    assert [mean for mean, _ in shown] == [".000", ".200", "1.00e-07", "3.00e+30"]
    assert shown[2][1] == " [1.00e-07, 2.00e-07]" and cell(1e-7, 0, 1) == (".000", " [.000, 1.000]")
    assert cell(0.5, np.nan, np.nan, "none") == (".500", "")


def test_markdown_few_clusters(tmp_path):
    for name, lift in (("ridge", 0.01), ("maml", 0.05), ("lr_cv", 0.0)):
        make_run(tmp_path, name, lift=lift)
    runs = tables.load_runs(tmp_path)
    table = tables.long_table(runs)
    page = tables.markdown(table, runs, meta=["maml", "ridge"])
    block = page.split("| AUROC: learner")[1].split("\n\n")[0].splitlines()
    assert [line.split(" | ")[0] for line in block[2:]] == ["| maml", "| ridge", "| lr_cv"]
    got = row(table)
    mean, low, high = (f"{got[c]:.3f}"[1:] for c in ("mean", "low", "high"))
    assert f"| maml | **{mean}** [{low}, {high}] |" in page
    assert "fewer than 10 clusters: no p-values" in page and "Holm" not in page
    # Brier: the smaller the better
    block = page.split("| Brier: learner")[1].split("\n\n")[0]
    assert "| lr_cv | **" in block and block.count("**") == 4
    assert "3 tasks (t0, t1, t2), 3 clusters, 1 seed a learner; protocol: disjoint." in page
    assert "AUROC balanced, AUPRC balanced, Brier natural, ECE natural" in page
    assert "Prevalence of the queries (balanced draws): .500." in page
    assert "left out for all: AUROC 2." in page
    difference = tables.compare(runs, "heart", "maml", ["lr_cv"], "auroc").iloc[0]
    assert f"| lr_cv | {number(difference['mean'], sign=True)} [" in page
    assert "Best meta-learner, maml" in page


def test_markdown_many_clusters_has_adjusted_p_values(tmp_path):
    for name, lift in (("maml", 0.05), ("ridge", 0.0499), ("lr_cv", 0.0)):
        make_run(tmp_path, name, tasks=12, episodes=48, lift=lift)
    runs = tables.load_runs(tmp_path)
    (grid,) = tables.grids(tables.long_table(runs), runs, ["auroc"])
    ranks, pvalues, top = grid.ranks.mean, grid.pvalues, grid.best
    each = {}
    for run in runs:
        home = tmp_path / "runs" / run.id
        units = [by_hand(home, "auroc", k, 1) for k in (8, 16)]
        each[run.config["learner"]] = np.mean(units, axis=0)
    rivals = [n for n in each if n != top]
    raw = {n: stats.wilcoxon(each[n] - each[top]).pvalue for n in rivals}
    small, large = sorted(raw, key=raw.get)
    assert pvalues[small] == pytest.approx(min(1, 2 * raw[small]), rel=1e-6)
    assert pvalues[large] == pytest.approx(max(raw[large], min(1, 2 * raw[small])), rel=1e-6)
    assert sum(ranks.values()) == pytest.approx(6)
    page = tables.markdown(tables.long_table(runs), runs)
    assert "| average rank | p (Holm) | tasks / seeds / undefined |" in page
    assert "no p-values" not in page
    assert "bootstrap over clusters" in page


def test_regression_metrics_stand_in(tmp_path):
    for name, lift in (("maml", 0.0), ("ridge", 0.5)):
        home = make_run(tmp_path, name, lift=lift)
        s = scores_of(home)
        gone = ("auroc", "auprc", "brier", "ece", "calibration", "calibration_shots")
        kept = {k: v for k, v in s.items() if k not in gone and not k.startswith("boot")}
        np.savez(home / "scores.npz", mse=s["auprc"] + 1, **kept)
    runs = tables.load_runs(tmp_path)
    page = tables.markdown(tables.long_table(runs), runs)
    block = page.split("| MSE: learner")[1].splitlines()
    assert block[2].startswith("| maml | **1.") and block[3].startswith("| ridge | 2.")
    assert "MSE natural" in page
    with pytest.raises(ValueError, match="no run of heart has any of auroc"):
        tables.markdown(tables.long_table(runs), runs, metrics=["auroc"])


def headroom(low):
    names = "benchmark shots metric ceiling better_mean headroom low high tasks".split()
    rows = [("heart", 8, "auroc", "4k labels + prior", 0.7, 0.01, -0.01, 0.03, 3),
            ("heart", 8, "auroc", "all labels + prior", 0.7, 0.03, low, 0.05, 3)]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def test_headroom_is_judged_by_the_larger_ceiling():
    good, bad = tables.headroom_markdown(headroom(0.01)), tables.headroom_markdown(headroom(-0.001))
    assert "| heart | 8 | AUROC | .700 | +.010 [-.010, +.030] | +.030 [+.010, +.050] | 3 |" in good
    assert "cannot rank" not in good
    assert "- heart, k = 8 (AUROC): this family cannot rank meta-learners." in bad
    assert "cannot rank" in tables.headroom_markdown(headroom(np.nan))
    with pytest.raises(ValueError, match="lacks the column low"):
        tables.headroom_markdown(headroom(0).drop(columns="low"))


def test_csv_is_the_same_bytes_whatever_the_order(tmp_path):
    for part_, names in (("x", ("maml", "ridge")), ("y", ("ridge", "maml"))):
        for i, name in enumerate(names):
            for seed in (0, 1):
                make_run(tmp_path / part_, name, seed, run_id=f"{i}{(seed + i) % 2}")
    x, y = (tables.csv(tables.long_table(tables.load_runs(tmp_path / p))) for p in "xy")
    assert x == y and x.startswith(",".join(FIRST))
    assert "\r" not in x
    mean = float(x.splitlines()[2].split(",")[5])
    assert len(str(mean)) <= 8


def test_the_script(tmp_path, capsys):
    make_run(tmp_path / "s", environment={"commit": "abc", "cards": {"blood": {}}})
    (tmp_path / "headroom").mkdir()
    frame = headroom(-0.01).assign(family="blood")
    frame.to_csv(tmp_path / "headroom" / "headroom.csv", index=False)

    def call(*args):
        try:
            return main([*args, f"--results={tmp_path}"])
        except SystemExit as stop:
            return stop.code

    assert call("s") == 0
    first = [(tmp_path / "s" / name).read_bytes() for name in tables.FILES[:5]]
    assert b"cannot rank meta-learners" in first[0]
    assert call("s") == 0
    assert first == [(tmp_path / "s" / name).read_bytes() for name in tables.FILES[:5]]
    for bad in (call("nothing"), call("s", "--resuls=x")):
        assert bad == 2
    assert "no finished runs" in capsys.readouterr().err
