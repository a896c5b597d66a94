"""One round of the fitted start with transformers: python fit.py '{"model", "out", "text", "gaps", "tokens", "context"}'.

Copies whose output matrices are zero after each gap; one forward and one backward pass over `tokens`, a window at a time,
activations only; Σ ffᵀ, Σ gfᵀ and Σ ggᵀ with hooks; both systems solved exactly; one step size for all blocks on an
eighth of as many other tokens, beginning with 0.1; the loss on further ones without and with the blocks; and the grown
weights written in their own type. Float32 throughout; the clock runs from before the weights are read.
"""
import copy
import json
import os
import sys
import time

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

DAMPING = 1.0


def main() -> None:
    task = json.loads(sys.argv[1])
    torch.set_flush_denormal(True)
    start = time.perf_counter()
    tokenizer = Tokenizer.from_file(os.path.join(task["model"], "tokenizer.json"))
    with open(task["text"], encoding="utf-8", newline="") as file:
        ids = torch.tensor(tokenizer.encode(file.read(), add_special_tokens=False).ids)
    length = task["context"]
    windows = ids[: len(ids) // length * length].view(-1, length)
    count = max(1, task["tokens"] // length)
    others = max(8, count // 4)
    fitted, search, unseen = windows[:count], windows[count : count + others], windows[count + others : count + 2 * others]

    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32).eval().requires_grad_(False)
    stack, blocks = [], []
    for index, layer in enumerate(model.model.layers):
        stack.append(layer)
        if index in task["gaps"]:
            block = copy.copy(layer)
            block._modules = dict(layer._modules)
            for name, linear in (("self_attn", "o_proj"), ("mlp", "down_proj")):
                # The copy shares all weights but those that are fitted.
                part = copy.copy(layer._modules[name])
                part._modules = dict(part._modules)
                own = torch.nn.Linear(*reversed(part._modules[linear].weight.shape), bias=False)
                own.weight = torch.nn.Parameter(torch.zeros_like(part._modules[linear].weight), requires_grad=False)
                part._modules[linear] = own
                block._modules[name] = part
            stack.append(block)
            blocks.append(block)
    model.model.layers = torch.nn.ModuleList(stack)
    model.config.num_hidden_layers = len(stack)

    def loss(window):
        logits = model(input_ids=window[None], use_cache=False).logits[0, :-1]
        return torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum")

    def mean(some):
        with torch.no_grad():
            return sum(float(loss(window)) for window in some) / (len(some) * (length - 1))

    linears = [linear for block in blocks for linear in (block.self_attn.o_proj, block.mlp.down_proj)]
    sums = [[0.0, 0.0, 0.0] for _ in linears]
    handles = [model.get_input_embeddings().register_forward_hook(lambda _m, _i, out: out.requires_grad_(True))]

    def catch(own):
        def hook(_module, inputs, output):
            f = inputs[0].detach().reshape(-1, inputs[0].shape[-1])

            def add(grad):
                g = grad.reshape(-1, grad.shape[-1])
                own[0], own[1], own[2] = own[0] + f.T @ f, own[1] + g.T @ f, own[2] + g.T @ g

            output.register_hook(add)

        return hook

    for linear, own in zip(linears, sums):
        handles.append(linear.register_forward_hook(catch(own)))
    for window in fitted:
        loss(window).backward()
    for handle in handles:
        handle.remove()

    n = count * (length - 1)
    directions = []
    for own in sums:
        a, g, b = (each / n for each in own)
        own.clear()
        a += DAMPING * a.trace() / len(a) * torch.eye(len(a))
        b += DAMPING * b.trace() / len(b) * torch.eye(len(b))
        directions.append(-torch.linalg.solve(b, torch.linalg.solve(a, g.T).T))

    def take(step):
        for linear, direction in zip(linears, directions):
            torch.mul(direction, step, out=linear.weight.data)

    tried = {}

    def at(step):
        if step not in tried:
            take(step)
            tried[step] = mean(search)
        return tried[step]

    step = 0.1
    while at(step) >= at(0.0) and step > 1e-4:
        step /= 4
    for factor in (2, 0.5):
        while at(step * factor) < at(step):
            step *= factor
    take(0.0)
    before = mean(unseen)
    take(step if at(step) < at(0.0) else 0.0)
    after = mean(unseen)
    os.makedirs(task["out"], exist_ok=True)
    state = {name: value.to(torch.bfloat16).clone() for name, value in model.state_dict().items()}
    save_file(state, os.path.join(task["out"], "model.safetensors"))
    print(json.dumps({"seconds": time.perf_counter() - start, "before": before, "after": after, "step": step}))


main()
