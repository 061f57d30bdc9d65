"""The strongest plain-PyTorch opponent of the speed benchmark, as a worker process.

    context = multiprocessing.get_context("spawn")
    context.Process(target=torch_peer.serve, args=(connection,)).start()

`connection` is one end of a `multiprocessing.Pipe`; `serve` lists the requests. PyTorch is
imported by the worker alone: two thread pools in one process would slow each other down. The same
function is written in several forms, since none is fastest everywhere:

- loop, loop_channels_last: one task after the other, PyTorch's threads inside the operations;
- threads: one task after the other on every thread, operations on one thread each;
- batched: explicit weights of every task, batched matrix products or grouped convolutions;
- func: torch.func, `vmap` over tasks of `grad` of the inner loop;
- compile: torch.compile of the whole iteration, the Adam step included;
- compile_threads: torch.compile of the meta-gradient of a few tasks, these on every thread.

All parameters are one flat vector (one Adam kernel). Images are mirrored: SAME padding of an even
size with stride 2 pads (0, 1), PyTorch's fast symmetric padding amounts to (1, 0).
"""

import functools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Form(NamedTuple):
    """How a meta-gradient is computed: `chunk` tasks at a time, on `workers` threads."""

    chunk: int
    workers: int = 1
    style: str = "tape"  # "tape": plain autograd; "grad": torch.func.grad; "vmap": and vmap
    compiled: str = ""  # "gradient", or "step" with Adam in the program
    channels_last: bool = False


class Session(NamedTuple):
    """What was loaded: the workload, our layout, the flat parameters and the episodes."""

    workload: dict
    paths: list  # where every array lies in the nested dict, in the order of the network
    places: list  # for every array, in its shape here, the positions of its entries in ours
    shapes: list  # our shapes
    start: np.ndarray  # float64, flat
    episodes: tuple
    device: str
    threads: int


def forms(session):
    """The forms that can be fastest for the workload; those that never were are not here."""
    tasks, threads = len(session.episodes[0]), session.threads
    if session.device != "cpu":  # small operations: all tasks at once, whatever the model
        vmap = "vmap" if session.workload["model"] == "mlp" else "grad"
        return {
            "loop": Form(1),
            "batched": Form(tasks),
            "compile": Form(tasks, 1, vmap, "gradient"),
        }
    if session.workload["model"] == "mlp":
        return {
            "batched": Form(tasks),
            "func": Form(tasks, style="vmap"),
            "compile": Form(tasks, style="vmap", compiled="step"),
            "compile_threads": Form(divisor(tasks, 128), threads, "vmap", "gradient"),
        }
    return {
        "loop": Form(1),
        "loop_channels_last": Form(1, channels_last=True),
        "threads": Form(1, threads),
        "threads_channels_last": Form(1, threads, channels_last=True),
        "batched": Form(divisor(tasks, 2), threads),
        "compile_threads": Form(1, threads, "grad", "gradient"),
    }


def divisor(number, most):
    """The largest divisor that is at most `most`: chunks of one size are compiled once."""
    return max(size for size in range(1, most + 1) if number % size == 0)


def layout(workload, params):
    """The order of the arrays in the network, and where their entries lie in ours."""
    body = ("body", "params") if "body" in params else ("params",)
    kinds = ("Conv", "BatchNorm") if workload["model"] == "conv4" else ("Dense",)
    paths = []
    for i in range(workload["layers"]):
        for kind in kinds:
            first = "scale" if kind == "BatchNorm" else "kernel"
            paths += [(*body, f"{kind}_{i}", first), (*body, f"{kind}_{i}", "bias")]
    if "head" in params:
        paths += [("head", "params", "kernel"), ("head", "params", "bias")]
    arrays = [functools.reduce(lambda node, key: node[key], path, params) for path in paths]
    places, total = [], 0
    mirror = slice(None, None, 1 if workload.get("pool") else -1)
    for path, array in zip(paths, arrays, strict=True):
        place = total + np.arange(array.size).reshape(array.shape)
        if array.ndim == 4:
            place = place[mirror, mirror].transpose(3, 2, 0, 1)
        elif path[-1] == "kernel" and workload["model"] == "conv4":  # the head: (H, W, C) rows
            side = round((len(array) / arrays[-4].size) ** 0.5)
            place = place.reshape(side, side, -1, array.shape[1])[mirror, mirror]
            place = place.transpose(2, 0, 1, 3).reshape(array.shape)
        elif workload["model"] == "mlp" and array.ndim == 1:
            place = place[None]  # (1, out) broadcasts with and without a task axis
        places.append(place)
        total += array.size
    return paths, places, arrays


def load(workload, params, episodes):
    """Prepares a session: parameters to the layout used here, images mirrored and NCHW."""
    import torch

    cuda = workload.get("device", "cpu") != "cpu" and torch.cuda.is_available()
    threads = workload.get("threads") or os.cpu_count()
    torch.set_num_threads(threads)
    if cuda:
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")  # TF32, as XLA does by default
    paths, places, arrays = layout(workload, params)
    ours = np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays])
    start = np.concatenate([ours[place.ravel()] for place in places])
    if workload["model"] == "conv4":
        mirror = slice(None, None, 1 if workload.get("pool") else -1)
        images = [x[:, :, mirror, mirror].transpose(0, 1, 4, 2, 3) for x in episodes[::2]]
        episodes = (images[0], episodes[1], images[1], episodes[3])
    episodes = tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in episodes)
    device = "cuda" if cuda else "cpu"
    shapes = [array.shape for array in arrays]
    return Session(workload, paths, places, shapes, start, episodes, device, threads)


def program(session, form):
    """Builds ``(flat parameters, *episodes of a chunk) -> the sum of their meta-gradients``."""
    import torch
    from torch.nn import functional

    workload = session.workload
    # Not `session` itself: torch.compile would guard, and trace, the arrays it holds.
    sizes = [place.size for place in session.places]
    shapes = [place.shape for place in session.places]
    pool, eps = workload.get("pool", False), workload.get("eps", 1e-5)

    def mlp(weights, x):  # x (..., N, D), weights with or without a task axis
        dense = torch.baddbmm if weights[0].ndim == 3 else torch.addmm
        for i in range(0, len(weights) - 2, 2):
            x = functional.relu(dense(weights[i + 1], x, weights[i]))
        return dense(weights[-1], x, weights[-2])

    def shared_block(x, kernel, bias, scale, shift):  # (T, N, C, H, W), the same weights for all
        y = functional.conv2d(x.flatten(0, 1), kernel, bias, stride=1 if pool else 2, padding=1)
        y = y.unflatten(0, x.shape[:2])
        variance, mean = torch.var_mean(y, (1, 3, 4), correction=0, keepdim=True)
        y = (y - mean) * (torch.rsqrt(variance + eps) * scale[:, None, None])
        y = functional.relu(y + shift[:, None, None])
        return functional.max_pool2d(y.flatten(0, 1), 2).unflatten(0, x.shape[:2]) if pool else y

    def conv4(weights, x):  # x (T, N, C, H, W); tasks become groups of channels
        tasks, rows = x.shape[:2]
        shared = weights[0].ndim == 4
        if shared and tasks > 1:
            for i in range(0, len(weights), 4):
                x = shared_block(x, *weights[i : i + 4])
            return x.flatten(2)
        x = x.transpose(0, 1).flatten(1, 2)
        if form.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        for i in range(0, 4 * workload["layers"], 4):
            kernel, bias, scale, shift = (
                weights[i : i + 4] if shared else [w.flatten(0, 1) for w in weights[i : i + 4]]
            )
            stride = 1 if pool else 2
            x = functional.conv2d(x, kernel, bias, stride=stride, padding=1, groups=tasks)
            x = functional.batch_norm(x, None, None, scale, shift, True, 0.0, eps)
            x = functional.relu(x)
            x = functional.max_pool2d(x, 2) if pool else x
        x = x.reshape(rows, tasks, -1).transpose(0, 1)
        return x if shared else torch.baddbmm(weights[-1][:, None], x, weights[-2])

    network = mlp if workload["model"] == "mlp" else conv4

    def loss(outputs, y):  # the mean over rows, summed over tasks
        if workload["kind"] == "regression":
            return ((outputs - y) ** 2).sum(-1).mean(-1).sum()
        return -(y * outputs.log_softmax(-1)).sum(-1).mean(-1).sum()

    def inner_gradient(weights, x, y):
        def support_loss(weights):
            return loss(network(weights, x), y)

        if form.style == "tape":
            return torch.autograd.grad(support_loss(weights), weights, create_graph=True)
        return torch.func.grad(support_loss)(weights)

    def maml(weights, sx, sy, qx, qy):
        for _ in range(workload["inner_steps"]):
            slopes = inner_gradient(weights, sx, sy)
            weights = [w - workload["inner_lr"] * d for w, d in zip(weights, slopes, strict=True)]
        return loss(network(weights, qx), qy)

    def protonet(weights, sx, sy, qx, qy):
        members = sy.mT / sy.sum(-2)[..., None]
        prototypes = members @ network(weights, sx)
        gaps = network(weights, qx)[..., :, None, :] - prototypes[..., None, :, :]
        return loss(-(gaps**2).sum(-1), qy)

    task_loss = maml if workload["learner"] == "maml" else protonet

    def meta_loss(flat, *chunk):
        parts = zip(flat.split(sizes), shapes, strict=True)
        weights = [part.view(shape) for part, shape in parts]
        if form.style == "vmap":  # the first inner step keeps one copy of the weights
            return torch.vmap(lambda *task: task_loss(weights, *task))(*chunk).sum()
        if workload["learner"] == "maml":
            weights = [w.expand(len(chunk[0]), *w.shape) for w in weights]
        return task_loss(weights, *chunk)

    def tape(flat, *chunk):
        flat = flat.detach().requires_grad_()
        return torch.autograd.grad(meta_loss(flat, *chunk), flat)[0]

    return tape if form.style == "tape" else torch.func.grad(meta_loss)


def runner(session, name, dtype):
    """Builds ``meta_gradient() -> flat`` and ``iterate()``, one iteration with its Adam step."""
    import torch

    form = forms(session)[name]
    flat = torch.from_numpy(session.start).to(session.device, dtype, copy=True)
    episodes = [part.to(session.device, dtype) for part in session.episodes]
    tasks = len(episodes[0])
    gradient = program(session, form)
    if form.compiled == "step":
        first, second = torch.zeros_like(flat), torch.zeros_like(flat)
        count = torch.zeros((), dtype=dtype)

        def step(flat, first, second, count, *episodes):
            slope = gradient(flat, *episodes) / tasks
            count.add_(1)
            first.lerp_(slope, 0.1)
            second.lerp_(slope * slope, 0.001)
            scale = (second / (1 - 0.999**count)).sqrt() + 1e-8
            flat.sub_(1e-3 * first / (1 - 0.9**count) / scale)
            return slope

        step = torch.compile(step, dynamic=False)
        state = (flat, first, second, count)
        return (lambda: step(*state, *episodes).clone()), (lambda: step(*state, *episodes))

    if form.compiled:
        mode = "default" if session.device == "cpu" else "reduce-overhead"
        gradient = torch.compile(gradient, dynamic=False, mode=mode)
    chunks = list(zip(*(part.split(form.chunk) for part in episodes), strict=True))
    flat.grad = torch.zeros_like(flat)
    adam = torch.optim.Adam([flat], lr=1e-3, fused=True)

    def work(chunks):
        return functools.reduce(torch.add, (gradient(flat, *chunk) for chunk in chunks))

    if form.workers > 1:
        # The backward pass runs on the thread that asked for it, and operations release the lock.
        inside = max(1, session.threads // form.workers)
        team = ThreadPoolExecutor(form.workers, None, torch.set_num_threads, (inside,))
        team.submit(work, chunks[:1]).result()  # compiles once, not on every thread

        def meta_gradient():
            shares = [chunks[i :: form.workers] for i in range(form.workers)]
            return sum(team.map(work, [share for share in shares if share])) / tasks
    else:

        def meta_gradient():
            return work(chunks) / tasks

    def iterate():
        flat.grad = meta_gradient()
        adam.step()

    return meta_gradient, iterate


def serve(connection):
    """Answers requests until ("close",): ("ok", answer), or ("failed", reason in one line).

    ("load", workload, params, episodes) -> versions; ("forms",) -> names; ("gradient", form) -> the
    float64 meta-gradient, laid out as the params; ("warm", form) -> seconds of building, compiling
    and the first iterations; ("time", form, iterations) -> seconds of each; ("memory",) -> bytes.
    """
    import torch

    session, ready = None, {}

    def timed(call):
        began = time.perf_counter()
        call()
        if session.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    def warm(name):
        def build():
            ready[name] = runner(session, name, torch.float32)[1]
            for _ in range(3):
                ready[name]()

        return timed(build)

    def gradient(name):
        slope = runner(session, name, torch.float64)[0]().cpu().numpy()
        ours, nested = np.empty_like(slope), {}
        ours[np.concatenate([place.ravel() for place in session.places])] = slope
        ends = np.cumsum([place.size for place in session.places])[:-1]
        for path, shape, part in zip(
            session.paths, session.shapes, np.split(ours, ends), strict=True
        ):
            node = functools.reduce(lambda node, key: node.setdefault(key, {}), path[:-1], nested)
            node[path[-1]] = part.reshape(shape)
        return nested

    while (request := connection.recv())[0] != "close":
        kind, *rest = request
        try:
            if kind == "load":
                session, ready = load(*rest), {}
                cuda = session.device != "cpu"
                name = torch.cuda.get_device_name() if cuda else "cpu"
                answer = {"torch": torch.__version__, "threads": session.threads, "device": name}
            elif kind == "forms":
                answer = list(forms(session))
            elif kind == "gradient":
                answer = gradient(rest[0])
            elif kind == "warm":
                answer = warm(rest[0])
            elif kind == "time":
                answer = [timed(ready[rest[0]]) for _ in range(rest[1])]
            elif kind == "memory":
                answer = peak_memory(session)
            else:
                raise ValueError(f"unknown request {kind!r}")
        except Exception as error:  # what fails is an answer too: a form may need a compiler
            connection.send(("failed", f"{type(error).__name__}: {error}".splitlines()[0]))
        else:
            connection.send(("ok", answer))


def peak_memory(session):
    """The most memory used so far in bytes: of the process, or allocated on the device."""
    import torch

    if session.device != "cpu":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory before the exec
        rows = dict(row.split(":", 1) for row in status.read_text().splitlines())
        return int(rows["VmHWM"].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
