"""The whole of LESA, from files to files, with the paper's settings: python lesa.py '{"model", "out"}'.

Grows 1.5 times, one new layer in each gap of the later half; norm weights and biases are the neighbours' mean.
"""
import json
import os
import re
import sys
import time

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from predictor import Trainer

TYPES = {
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "o_proj": "self_attn.o_proj",
    "gate_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "down_proj": "mlp.down_proj",
}
EPOCHS = 5
SHARD_BYTES = 5_000_000_000


class Checkpoint:
    def __init__(self, folder: str) -> None:
        self.folder = folder
        index = os.path.join(folder, "model.safetensors.index.json")
        if os.path.exists(index):
            with open(index, encoding="utf-8") as file:
                self.files = json.load(file)["weight_map"]
        else:
            with safe_open(os.path.join(folder, "model.safetensors"), "pt") as file:
                self.files = {name: "model.safetensors" for name in file.keys()}

    def read(self, name: str) -> torch.Tensor:
        with safe_open(os.path.join(self.folder, self.files[name]), "pt") as file:
            return file.get_tensor(name)


class Clock:
    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()
        self.stages = {"decompose": 0.0, "train": 0.0, "predict": 0.0, "write": 0.0}

    def ended(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage] += now - self.last
        self.last = now


def predict_type(checkpoint, module, layers, gaps, clock):
    """Returns one new matrix for each gap."""
    names = [f"model.layers.{layer}.{module}.weight" for layer in range(layers)]
    matrix = torch.cat([checkpoint.read(name).float() for name in names], 1)
    basis, values, transposed = torch.linalg.svd(matrix, full_matrices=False)
    del matrix
    # [rank, layers * width] -> [layers, rank, width]
    coordinates = torch.stack(transposed.chunk(layers, 1))
    del transposed
    scaled = basis * values
    clock.ended("decompose")

    trainer = Trainer(coordinates)
    for _ in range(EPOCHS):
        for _ in trainer.epoch():
            pass
    clock.ended("train")

    with torch.no_grad():
        new = {}
        for gap in gaps:
            predicted = trainer.model(torch.cat((coordinates[gap], coordinates[gap + 1]), 1))
            new[gap] = (scaled @ predicted).bfloat16()
    clock.ended("predict")
    return new


def write(out, tensors, config):
    """Writes tensors, given as (name, function), into shards."""
    os.makedirs(out)
    shards, current, size = [], {}, 0
    for name, make in tensors:
        tensor = make()
        if current and size + tensor.nbytes > SHARD_BYTES:
            shards.append(list(current))
            save_file(current, os.path.join(out, f"part-{len(shards)}.safetensors"))
            current, size = {}, 0
        current[name] = tensor.contiguous()
        size += tensor.nbytes
    shards.append(list(current))
    save_file(current, os.path.join(out, f"part-{len(shards)}.safetensors"))
    del current
    weight_map = {}
    for number, names in enumerate(shards, 1):
        final = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        path = os.path.join(out, final)
        os.rename(os.path.join(out, f"part-{number}.safetensors"), path)
        with open(path, "r+b") as file:
            os.fsync(file.fileno())
        weight_map.update({name: final for name in names})
    with open(os.path.join(out, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump({"metadata": {}, "weight_map": weight_map}, file)
    with open(os.path.join(out, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)


def main() -> None:
    task = json.loads(sys.argv[1])
    torch.manual_seed(0)
    clock = Clock()
    checkpoint = Checkpoint(task["model"])
    with open(os.path.join(task["model"], "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    layers = config["num_hidden_layers"]
    count = layers // 2
    gaps = range(layers - 1 - count, layers - 1)

    predicted = {}
    for name, module in TYPES.items():
        predicted[f"{module}.weight"] = predict_type(checkpoint, module, layers, gaps, clock)

    # The grown model's tensors: originals renumbered, a new layer after each gap's left neighbour.
    places, depth = {}, 0
    for layer in range(layers):
        places[layer] = depth
        depth += 2 if layer in gaps else 1
    tensors = []
    for name in checkpoint.files:
        match = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", name)
        if match is None:
            tensors.append((name, lambda name=name: checkpoint.read(name)))
            continue
        layer, suffix = int(match[1]), match[2]
        place = f"model.layers.{places[layer]}.{suffix}"
        tensors.append((place, lambda name=name: checkpoint.read(name)))
        if layer not in gaps:
            continue
        place = f"model.layers.{places[layer] + 1}.{suffix}"
        if suffix in predicted:
            tensors.append((place, lambda suffix=suffix, layer=layer: predicted[suffix].pop(layer)))
        else:
            right = f"model.layers.{layer + 1}.{suffix}"

            def mean(left=name, right=right):
                a, b = checkpoint.read(left), checkpoint.read(right)
                return ((a.float() + b.float()) / 2).to(a.dtype)

            tensors.append((place, mean))
    write(task["out"], tensors, {**config, "num_hidden_layers": depth})
    clock.ended("write")
    print(json.dumps({"seconds": clock.last - clock.start, **clock.stages}))


main()
