"""The wrapper in real trainings: the plain method where nothing is asked, resuming, logs, files."""

from __future__ import annotations

import copy
import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import load_file

from core.encoders.spec import read_sidecar
from core.errors import SettingsError
from core.research.domains_config import DomainsConfig
from core.research.domains_disentangled import STEP_FACTS, Disentangled, prefix_objective
from core.research.domains_labels import domain_labels, find_domains
from core.research.domains_robust_clustering import purity
from core.study.progress import Progress
from core.training import files
from core.training.methods import METHODS
from core.training.setup import grouped_order
from core.training.trainer import TrainingRun, train
from tests.sampling import sample

SMALL = {"queue": 24, "queue_from": 0.3, "prototypes": 8, "local_crops": 2, "bottleneck": 6}
HEADS = {"head_hidden": 16, "head_out": 12, "objective": SMALL, "lr": 0.2, "warmup_epochs": 0.5}
COLUMN = {"labels": "column:light", "critic_hidden": 8}
CLUSTERS = {"labels": "cluster", "n_domains": 2, "truth": "column:light", "critic_hidden": 8, "warmup": 0.25}
REST_OF_METHODS = [name for name in METHODS if name not in ("simclr", "byol", "dino")]
REST = [(name, CLUSTERS) for name in METHODS if name != "simclr"]
CLUSTERS |= {"every": 0.25, "outlier_threshold": "auto", "outliers": "drop"}


def begun(config, source) -> TrainingRun:
    return TrainingRun(config, source, Progress.silent())


def same(first: Path, second: Path) -> bool:
    once, again = load_file(first), load_file(second)
    return all(torch.equal(tensor, again[name]) for name, tensor in once.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(["simclr", "byol", "dino", *REST_OF_METHODS], 3))
def test_train__without_prefix_and_terms_is_the_plain_method(two_domains, tiny_config, tmp_path, name):
    """Bit for bit: a head, a momentum network with its predictor, and small views beside the large ones."""
    off = {"prefix": 0, "variant": 0.0, "invariant": 0.0, "weight": 1.0}
    settings = {"method": name, "half": False, "epochs": 1, **HEADS}
    plain = train(tiny_config(**settings, output=str(tmp_path / "plain.safetensors")))
    assert same(plain, train(tiny_config(**settings, domains={**COLUMN, **off})))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "domains"), sample([("simclr", CLUSTERS), ("dino", COLUMN), ("simclr", COLUMN), *REST], 2)
)
def test_train__resumes_to_the_same_bits(two_domains, tiny_config, tmp_path, stopping_at, name, domains):
    """Stopped after step 5 of 8: with clusters of steps 2, 4 and 6, between two of them."""
    settings = {"method": name, "half": False, "domains": domains, **HEADS}
    whole = train(tiny_config(**settings, output=str(tmp_path / "whole.safetensors")))
    with stopping_at(5), pytest.raises(KeyboardInterrupt):
        train(tiny_config(**settings))
    state = torch.load(tmp_path / "encoder.safetensors.resume.pt", weights_only=True)
    assert state["step"] == 5
    torch.manual_seed(999)
    output = train(tiny_config(**settings))
    assert same(whole, output)
    logs = [files.steps_path(path).read_text() for path in (whole, output)]
    assert logs[0] == logs[1] and len(logs[0].splitlines()) == 9
    assert read_sidecar(output).prefix == json.loads(files.sidecar_path(output).read_text())["prefix"] > 0
    assert not any(name.startswith(("backbone", "critic", "head")) for name in load_file(output))


def test_step_log__holds_each_term(two_domains, tiny_config):
    output = train(tiny_config(domains=COLUMN, epochs=1))
    with open(files.steps_path(output), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and set(rows[0]) == {"step", *STEP_FACTS}
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())
    assert {float(row["labelled"]) for row in rows} == {32.0} == {float(row["rows"]) for row in rows}


def test_loss__is_the_sum_of_its_terms(two_domains, tiny_config):
    run = begun(tiny_config(domains={**COLUMN, "invariant": 0.0, "variant": 2.0}), two_domains)
    method, (views, _) = run.method, run.views(0)
    assert isinstance(method, Disentangled)
    method.rows = run.batches.draw(0).rows
    method.eval()
    raw = method.backbone(views)
    light = (two_domains.extras["light"] == "night").to_numpy().astype(int)[method.rows]
    objective = prefix_objective(raw[:, : method.k], torch.from_numpy(np.tile(light, 2)), temperature=0.2)
    own = method.inner.loss_of(raw[:, method.k :], views)
    assert_allclose(method(views).item(), (0.5 * own - 2.0 * objective.value).item(), rtol=1e-5)
    assert method.step_facts()["l_var"] == pytest.approx(objective.value.item(), rel=1e-5)


def loop_nt_xent(z, temperature):
    """SimCLR, eq. 1: row i and row i + B are views of one image; all others are negatives."""
    unit, losses = z / z.norm(dim=1, keepdim=True), []
    for i in range(len(z)):
        exps = [math.exp(float(unit[i] @ unit[j]) / temperature) for j in range(len(z))]
        partner = (i + len(z) // 2) % len(z)
        losses.append(-math.log(exps[partner] / (sum(exps) - exps[i])))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("reads", ["rest", "all"])
def test_ssl_reads__says_which_columns_the_methods_loss_takes(two_domains, tiny_config, reads):
    alone = {**COLUMN, "variant": 0.0, "invariant": 0.0, "weight": 2.0, "prefix": 40, "ssl_reads": reads}
    method: Any = begun(tiny_config(domains=alone), two_domains).method.eval()
    first = 40 if reads == "rest" else 0
    raw = torch.randn(32, 96)
    by_hand = 2.0 * loop_nt_xent(method.inner.head(raw[:, first:]).detach(), 0.2)
    assert_allclose(method.loss_of(raw, torch.empty(0)).item(), by_hand, rtol=1e-5)
    raw.requires_grad_()
    (gradient,) = torch.autograd.grad(method.loss_of(raw, torch.empty(0)), raw)
    assert bool(gradient[:, :40].any()) is (reads == "all") and gradient[:, 40:].any()


@pytest.mark.parametrize(("reads", "n_read"), [("rest", 90), ("all", 96)])
def test_ssl_reads__is_what_the_momentum_network_gives(two_domains, tiny_config, reads, n_read):
    config = tiny_config(method="byol", domains={**COLUMN, "ssl_reads": reads}, **HEADS)
    method: Any = begun(config, two_domains).method.eval()
    views = torch.randn(2, 3, 16, 16)
    online, target = method.inner.backbone(views), method.inner.target_backbone(views)
    assert online.shape == target.shape == (2, n_read)
    assert_allclose(online.detach(), method.backbone(views)[:, 96 - n_read :].detach())
    assert method.k == 6 and method.critic.from_row.in_features == 90 + 2  # the critic reads the rest anyhow


@pytest.mark.parametrize("n_steps", [1, 3])
def test_critic_steps__are_so_many_steps_with_draws_of_their_own(two_domains, tiny_config, n_steps):
    """The twin draws as the method does, and takes each step by itself."""
    settings = {**COLUMN, "critic_steps": n_steps, "critic_lr": 0.02, "penalty": 7.0}
    method: Any = begun(tiny_config(domains=settings), two_domains).method
    method.progress = 0.5
    twin, domains = copy.deepcopy(method.critic), torch.arange(12) % 2
    h_p = torch.randn(12, 90, requires_grad=True)
    term, penalty = method._adversarial_term(h_p, domains)
    rng, own = np.random.default_rng([method.seed, *b"critic", 0]), torch.eye(2)[domains]
    read = (h_p / h_p.norm(dim=1, keepdim=True)).detach()

    def drawn():
        return torch.eye(2)[torch.from_numpy(rng.choice(2, 12, p=[0.5, 0.5]))]

    for _ in range(n_steps):
        other, mix = drawn(), torch.from_numpy(rng.random((12, 1))).float()
        _, last = twin.step(read, own, other, mix, lr=0.01, penalty=7.0)  # 0.02, half of a cosine later
    assert int(method.critic.n_steps) == int(twin.n_steps) == n_steps
    for name, weight in twin.state_dict().items():
        assert_allclose(method.critic.state_dict()[name], weight, rtol=1e-4, atol=1e-6, err_msg=name)
    assert_allclose(term.item(), (twin(read, own) - twin(read, drawn())).mean().item(), rtol=1e-4, atol=1e-6)
    assert_allclose(penalty.item(), last.item(), rtol=1e-4)


@pytest.mark.parametrize("on", ["all", "prefix"])
def test_cluster_on__groups_by_the_columns_it_names(rng, on):
    """The prefix is two groups, the longer rest two others: each row's pair is balanced."""
    prefix, rest = np.arange(40) % 2, np.arange(40) // 2 % 2
    columns = [np.eye(2)[prefix], 5 * np.eye(2)[rest]]
    raw = torch.from_numpy(np.concatenate(columns, 1) + rng.normal(scale=0.02, size=(40, 4)))
    found = find_domains(
        lambda rows: raw[torch.from_numpy(rows)],
        np.full(40, -1),
        DomainsConfig(labels="cluster", n_domains=2, cluster_on=on),
        **{"n_prefix": 2, "number": 0, "last": 3, "threshold": None, "seed": 0},
        truth=prefix if on == "prefix" else rest,
    )
    other = rest if on == "prefix" else prefix
    assert found.facts["ari"] == 1.0 and found.kept.all()
    assert purity(found.clusters, other) == 0.5


def test_critic__changes_only_by_its_own_steps(two_domains, tiny_config):
    run = begun(tiny_config(domains=COLUMN), two_domains)
    critic: Any = run.method.critic
    assert not {id(p) for group in run.optimiser.param_groups for p in group["params"]} & {
        id(p) for p in critic.parameters()
    }
    before = critic.between.weight.clone()
    run.train_step()
    assert int(critic.n_steps) == 1 and not torch.equal(before, critic.between.weight)
    assert all(weight.grad is None for weight in critic.parameters())


@pytest.mark.slow
def test_clusters__are_found_at_their_times_and_logged(two_domains, tiny_config):
    run = begun(tiny_config(epochs=4, domains={**CLUSTERS, "cluster_rows": 40}), two_domains)
    method: Any = run.method
    numbers = []
    for _ in range(16):
        run.train_step()
        numbers.append(int(method.n_clusterings))
    assert numbers == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    facts = run.method.facts()
    assert facts["clustering"] == 3 and facts["epsilon"] == 0 and -1 <= facts["ari"] <= 1
    assert facts["kept"] == facts["kept_paper"] == facts["kept_nearest"]  # two clusters: one rule
    assert 0.5 <= facts["purity_kept"] <= 1


@pytest.mark.slow
def test_clusters__nothing_kept_rests_both_terms_and_warns_once(two_domains, tiny_config, capsys):
    domains = {**CLUSTERS, "outlier_threshold": 1e9, "every": 1.0, "outliers": "keep"}
    run = begun(tiny_config(epochs=4, domains={**domains, "every": 0.3}), two_domains)
    while run.step < 12:
        run.train_step()
        if run.step % 4 == 0:
            means = run.steps.end_epoch()
            said = run.method.concern(means)
            assert ("no row has a domain" in said) == (run.step == 8)
            assert run.step == 4 or means["labelled"] == 0
            assert "wasserstein" not in means
            assert run.method.batch_groups() is None


def test_grouped_order__takes_turns_and_leaves_out():
    groups = np.array([0] * 10 + [1] * 5 + [-1] * 5)
    order = grouped_order(groups, 0, 3, 4)
    assert len(order) == 20 and not (groups[order] < 0).any()
    assert all(groups[batch].tolist() == [0, 0, 1, 1] for batch in order.reshape(5, 4))
    assert sorted(order[groups[order] == 0]) == list(range(10)) and set(order) == set(range(15))
    assert not np.array_equal(order, grouped_order(groups, 0, 4, 4))
    alone = grouped_order(np.where(groups == 0, 0, -1), 0, 0, 5)
    assert set(alone) == set(range(10)) and len(set(alone[:10])) == 10


@pytest.mark.parametrize("sizes", [(30, 7), (50, 3, 11), (4, 60), (33,)], ids=str)
@pytest.mark.parametrize("batch_size", [8, 16, 27])
def test_grouped_order__never_repeats_an_image_within_a_batch(sizes, batch_size):
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    for epoch in range(3):
        batches = grouped_order(groups, 1, epoch, batch_size).reshape(-1, batch_size)
        assert len(batches) == len(groups) // batch_size
        for batch in batches:
            assert len(set(batch)) == batch_size
            counts = np.bincount(groups[batch], minlength=len(sizes))
            whole = counts == np.array(sizes)  # a small group gives all that it has
            assert np.ptp(counts[~whole]) <= 1 and (counts[whole] <= counts[~whole].max()).all()


def test_balanced_batches__hold_both_domains_equally(two_domains, tiny_config):
    light = (two_domains.extras["light"] == "night").to_numpy()
    two_domains.extras["light"] = np.where(np.arange(80) < 12, "night", "day")
    run = begun(tiny_config(domains={**COLUMN, "balanced": True}), two_domains)
    light = (two_domains.extras["light"] == "night").to_numpy()
    assert {int(light[run.batches.rows(step)].sum()) for step in range(4)} == {8}


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        ({"labels": "column:lihgt"}, "no column 'lihgt'. Did you mean 'light'"),
        ({"labels": "column:all"}, "all 64 training images are 'one'. There is nothing to disentangle"),
        ({"labels": "folder"}, "needs DOMAIN/CLASS/IMAGE, but '0.png' is not in two folders"),
        ({**COLUMN, "prefix": 96}, "prefix = 96 leaves nothing of the 96 features"),
        ({"labels": "cluster", "n_domains": 65}, "n_domains = 65 is more than the 64 images"),
    ],
)
def test_trainings__refuse_domains_that_cannot_work(two_domains, tiny_config, domains, message):
    with pytest.raises(SettingsError) as caught:
        begun(tiny_config(domains=domains), two_domains)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        ({"labels": "cluster"}, "needs n_domains"),
        ({"labels": "style"}, "must be 'column:NAME' or 'folder', 'cluster'"),
        ({"labels": "column:"}, "must be 'column:NAME'"),
        ({**COLUMN, "prefix": 0}, "prefix = 0 leaves no features"),
        ({**COLUMN, "prefix": -1}, "must be 0 or more"),
        ({**COLUMN, "outlier_threshold": "large"}, "must be 0 or more, or 'auto'"),
        ({**COLUMN, "temperature": 0.0}, "must be above 0"),
        ({**COLUMN, "critic_lr": float("inf")}, "critic_lr = inf must be above 0"),
        ({**COLUMN, "rule": "papers"}, "must be paper or nearest"),
        ({**COLUMN, "warmup": 1.0}, "must be shares"),
        ({**COLUMN, "weight": -1.0}, "must be 0 or more"),
    ],
)
def test_config__refuses_values_that_cannot_work(tiny_config, domains, message):
    with pytest.raises(SettingsError) as caught:
        tiny_config(domains=domains)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_images_without_a_domain__are_listed(two_domains, tiny_config):
    two_domains.extras.loc[[3, 5], "light"] = None
    with pytest.raises(SettingsError, match="2.*3.png.*5.png"):
        begun(tiny_config(domains=COLUMN), two_domains)


def labels_of(run):
    return domain_labels(run.config.sections["domains"], run.source, run.train_pixels.rows)


@pytest.mark.parametrize(
    ("domain_of", "said"),
    [
        (lambda row, code: f"d{code}", "'column:bound' is the class of every image: a rest"),
        (lambda row, code: f"d{code}, {row}", "'column:bound' gives away the class of every image: a rest"),
        (lambda row, code: f"d{code // 2}", "the images of a class all have the same 'column:bound': a rest"),
    ],
    ids=["domain is class", "a domain has one class", "a class has one domain"],
)
def test_domain_bound_to_the_class__is_warned_of(two_domains, tiny_config, domain_of, said):
    two_domains.table["label"] = [f"class {row % 4}" for row in range(80)]
    two_domains.extras["bound"] = [domain_of(row // 4 % 2, row % 4) for row in range(80)]
    labels = labels_of(begun(tiny_config(domains={**COLUMN, "labels": "column:bound"}), two_domains))
    assert labels is not None and labels.notes[0].startswith(said) and "\n" not in labels.notes[0]


def test_folder_labels__are_the_first_folder_below_the_split(two_domains, tiny_config):
    names = ["photo", "sketch"]
    two_domains.table["image_id"] = [f"train/{names[row % 2]}/dog/{row}.png" for row in range(80)]
    labels = labels_of(begun(tiny_config(domains={**COLUMN, "labels": "folder"}), two_domains))
    assert labels is not None and labels.names == ("photo", "sketch")
    assert_array_equal(labels.codes, np.arange(64) % 2)
