#!/usr/bin/env python3
"""Trains the new layers of a grown model on texts, and writes the trained model as a Hugging Face checkpoint.

Needs: pip install "torch>=2.7" "transformers>=5" accelerate safetensors   (and pyarrow for .parquet)

    one GPU       python recipes/train.py --text corpus/ --out ../trained
    several GPUs  torchrun --nproc_per_node 8 recipes/train.py --text corpus/ --out ../trained
    no GPU        python recipes/train.py --text corpus/ --out ../trained --device cpu

What is trained stands in recipe.json beside this file, with the defaults of all that can be given here. Everything else
of the model stays as it is, and that is checked, bit for bit, at the end. Nothing is fetched from a network.
"""

import argparse
import glob
import gzip
import hashlib
import json
import math
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
# The first process speaks for all; of what goes wrong, the first of each machine.
RANK = int(os.environ.get("RANK", "0"))
LOCAL_RANK = int(os.environ.get("LOCAL_RANK", "0"))
WORLD = int(os.environ.get("WORLD_SIZE", "1"))


class Refusal(Exception):
    """Something that the person who started this can put right."""


def say(text):
    if RANK == 0:
        print(text, flush=True)


try:
    import accelerate  # noqa: F401  (the Trainer needs it)
    import numpy as np
    import torch
    import transformers
    from safetensors import safe_open
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments
except ImportError as problem:
    say(f'error: {problem}.\n  pip install "torch>=2.7" "transformers>=5" accelerate safetensors')
    sys.exit(1)


# ---------------------------------------------------------------------------------------------------- what is asked for


def read_json(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refusal(f"{path} does not exist.") from None
    except (OSError, ValueError) as problem:
        raise Refusal(f"{path} cannot be read: {problem}") from None


def read_recipe(path):
    recipe = read_json(path)
    needed = ("layer_prefix", "new_layers", "num_hidden_layers", "trained", "trained_parameters", "defaults", "dtype")
    missing = [key for key in needed if not isinstance(recipe, dict) or key not in recipe]
    if missing:
        raise Refusal(f"{path} is no recipe of a grown model: it lacks {', '.join(missing)}.")
    if recipe.get("schema_version") != 1:
        raise Refusal(f"{path} is of version {recipe.get('schema_version')}; this file reads version 1.")
    return recipe


def read_arguments():
    here = Path(__file__).resolve().parent
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--recipe", type=Path, default=here / "recipe.json")
    recipe = read_recipe(first.parse_known_args()[0].recipe)
    usual = recipe["defaults"]

    parser = argparse.ArgumentParser(
        description="Trains the new layers of a grown model, and nothing else of it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--text", nargs="+", type=Path, required=True,
        help="texts to train on: .txt, .jsonl, either gzipped, .parquet, or folders of them")
    add("--out", type=Path, required=True, help="folder for the trained checkpoint")
    add("--overwrite", action="store_true", help="replace a checkpoint that is there")
    add("--model", type=Path, default=here.parent, help="the grown checkpoint")
    add("--recipe", type=Path, default=here / "recipe.json", help="what is trained")
    add("--work", type=Path, default=None, help="folder for tokens and states; without it OUT.work")
    add("--resume", action="store_true", help="go on from the last state in --work, if there is one")
    texts = parser.add_argument_group("texts")
    texts.add_argument("--text-field", default=usual["text_field"], help="field of .jsonl, column of .parquet")
    texts.add_argument("--eval-text", type=Path, default=None, help="text for the evaluation loss")
    texts.add_argument("--eval-share", type=float, default=usual["eval_share"],
                       help="without it: share of the blocks that is held back for that")
    texts.add_argument("--eval-blocks", type=int, default=64, help="blocks that an evaluation takes at the most")
    texts.add_argument("--forgetting-text", type=Path, default=None,
                       help="text of the kind that the base model knows: its loss tells what is forgotten")
    length = parser.add_argument_group("how long")
    length.add_argument("--steps", type=int, default=None, help=f"optimiser steps; {usual['steps']} if nothing is said")
    length.add_argument("--tokens", type=int, default=None, help="instead of steps: tokens seen")
    length.add_argument("--epochs", type=float, default=None, help="instead of steps: times through the texts")
    length.add_argument("--stop-after", type=int, default=None,
                        help="keep the state after this step and end; --resume goes on from there")
    length.add_argument("--context", type=int, default=usual["context"], help="tokens of a block")
    length.add_argument("--batch", type=int, default=usual["batch"], help="blocks of a step, on all GPUs together")
    length.add_argument("--micro-batch", type=int, default=1, help="blocks that a GPU holds at a time")
    course = parser.add_argument_group("training")
    course.add_argument("--lr", type=float, default=usual["lr"], help="learning rate")
    course.add_argument("--output-lr-factor", type=float, default=usual["output_lr_factor"],
                        help="multiplies the rate of matrices that are zero at the start")
    course.add_argument("--schedule", choices=("wsd", "cosine", "constant"), default=usual["schedule"],
                        help="warm-up, level, decay; cosine; level")
    course.add_argument("--warmup", type=int, default=None, help="steps; a tenth of all, at most 100, if nothing is said")
    course.add_argument("--weight-decay", type=float, default=usual["weight_decay"], help="of AdamW")
    course.add_argument("--beta1", type=float, default=usual["beta1"], help="of AdamW")
    course.add_argument("--beta2", type=float, default=usual["beta2"], help="of AdamW")
    course.add_argument("--epsilon", type=float, default=usual["epsilon"], help="of AdamW")
    course.add_argument("--clip", type=float, default=usual["clip"], help="longest gradient; 0 for any")
    course.add_argument("--seed", type=int, default=usual["seed"], help="of the order of the blocks")
    keep = parser.add_argument_group("measuring and keeping")
    keep.add_argument("--eval-every", type=int, default=None, help="steps; a twentieth of all, at least ten, if nothing is said")
    keep.add_argument("--save-every", type=int, default=None, help="steps; a tenth of all if nothing is said")
    keep.add_argument("--report-to", default="none", help="wandb, tensorboard … as in transformers")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    machine.add_argument("--precision", choices=("auto", "bf16", "fp16", "fp32"), default="auto",
                         help="of products; auto: bf16 on a GPU that has it, fp32 on a CPU")
    machine.add_argument("--trained-dtype", choices=("float32", "stored"), default="float32",
                         help="of the trained weights and their optimiser states; 'stored' takes half the memory, "
                              "and loses small updates where it has 16 bits")
    machine.add_argument("--no-checkpointing", action="store_true", help="keep all activations: faster, more memory")
    arguments = parser.parse_args()
    check_arguments(parser, arguments, usual)
    return arguments, recipe


def check_arguments(parser, a, usual):
    lengths = [name for name in ("steps", "tokens", "epochs") if getattr(a, name) is not None]
    if len(lengths) > 1:
        parser.error("give one of --steps, --tokens, --epochs")
    if not lengths:
        a.steps = usual["steps"]
    for name in ("steps", "tokens", "context", "batch", "micro_batch", "eval_blocks", "eval_every", "save_every"):
        value = getattr(a, name)
        if value is not None and value < (2 if name == "context" else 1):
            parser.error(f"--{name.replace('_', '-')} is too small: {value}")
    if a.lr <= 0 or (a.epochs is not None and a.epochs <= 0) or not 0 <= a.eval_share < 1:
        parser.error("--lr and --epochs are above 0, --eval-share is from 0 to below 1")
    if a.batch % (WORLD * a.micro_batch) != 0:
        parser.error(f"--batch {a.batch} is no multiple of {WORLD} processes × --micro-batch {a.micro_batch}")
    # "." has no name that the folders beside it could be called after.
    a.out = Path(os.path.abspath(a.out))
    a.work = a.work or a.out.with_name(a.out.name + ".work")
    for path in [*a.text, a.eval_text, a.forgetting_text]:
        if path is not None and not path.exists():
            raise Refusal(f"The text {path} does not exist.")
    if not (a.model / "config.json").is_file():
        raise Refusal(f"{a.model} is no checkpoint: it has no config.json.")
    if a.out.resolve() == a.model.resolve() or a.model.resolve() in a.out.resolve().parents:
        raise Refusal(f"--out {a.out} is the model itself, or within it: choose another folder.")
    if a.out.exists() and (a.out.is_file() or any(a.out.iterdir())):
        if not a.overwrite:
            raise Refusal(f"{a.out} exists and is not empty: choose another folder, or give --overwrite.")
        if not ((a.out / "config.json").is_file() and any(a.out.glob("*.safetensors"))):
            raise Refusal(f"{a.out} holds other things than a checkpoint: only a checkpoint is replaced.")
    if a.device == "cuda" and not torch.cuda.is_available():
        raise Refusal("PyTorch finds no GPU: give --device cpu, or install a PyTorch with CUDA or ROCm.")
    if last_state(a.work) is not None and not a.resume:
        raise Refusal(f"{a.work} holds a training that was begun: give --resume to go on, or remove that folder.")


# ---------------------------------------------------------------------------------------------------------------- texts


def text_files(paths):
    """All text files among the paths, folders walked, in the order of their names."""
    endings = (".txt", ".jsonl", ".txt.gz", ".jsonl.gz", ".parquet")
    found = []
    for path in paths:
        inside = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        files = [each for each in inside if each.name.lower().endswith(endings)]
        if not files:
            raise Refusal(f"{path} holds no text: expected {', '.join(endings)}.")
        found += files
    return found


def documents(path, field):
    """The texts of a file: a .txt is one document; a line of .jsonl, or a row of .parquet, is one."""
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            try:
                import pyarrow.parquet as parquet
            except ImportError:
                raise Refusal(f"{path} needs pyarrow: pip install pyarrow") from None
            file = parquet.ParquetFile(path)
            if field not in file.schema_arrow.names:
                raise Refusal(f'{path} has no column "{field}" (--text-field): {", ".join(file.schema_arrow.names)}')
            for rows in file.iter_batches(columns=[field], batch_size=1024):
                yield from (text for text in rows.column(0).to_pylist() if text)
            return
        opened = gzip.open(path, "rt", encoding="utf-8-sig") if name.endswith(".gz") else open(path, encoding="utf-8-sig")
        with opened as file:
            if ".jsonl" not in name:
                yield file.read()
                return
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    text = json.loads(line)[field]
                except (ValueError, KeyError, TypeError):
                    raise Refusal(f'Line {number} of {path} is no JSON object with "{field}" (--text-field).') from None
                if not isinstance(text, str):
                    raise Refusal(f'"{field}" in line {number} of {path} is no text.')
                yield text
    except UnicodeDecodeError as problem:
        raise Refusal(f"{path} is not UTF-8: {problem.reason} at byte {problem.start}.") from None
    except OSError as problem:
        raise Refusal(f"{path} cannot be read: {problem}") from None


def pieces(text, longest=2**20):
    """A long document in parts, cut after a line's end or a space where there is one."""
    while len(text) > longest:
        cut = max(text.rfind("\n", longest // 2, longest), text.rfind(" ", longest // 2, longest)) + 1 or longest
        yield text[:cut]
        text = text[cut:]
    if text:
        yield text


def tokenise(paths, field, tokenizer, end, target):
    """Writes all documents' tokens to a file of int32, `end` after each document. Returns what there is, file by file."""
    facts = []
    with open(target, "wb") as out:
        for path in text_files(paths):
            count, tokens = 0, 0
            for text in documents(path, field):
                ids = [i for piece in pieces(text) for i in tokenizer(piece, add_special_tokens=False)["input_ids"]]
                if not ids:
                    continue
                if end is not None:
                    ids.append(end)
                np.asarray(ids, dtype=np.int32).tofile(out)
                count, tokens = count + 1, tokens + len(ids)
            facts.append({"name": path.name, "bytes": path.stat().st_size, "documents": count, "tokens": tokens})
    return facts


class Tokens:
    """The tokens of one part of the material, in --work; made once, and again when the texts have changed."""

    def __init__(self, part, paths, a, tokenizer, end):
        self.file = a.work / f"{part}.tokens"
        told = a.work / f"{part}.json"
        key = hashlib.sha256()
        for path in text_files(paths):
            key.update(f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
        key.update(f"{a.text_field} {end} {len(tokenizer)} {tokenizer.name_or_path}".encode())
        known = read_json(told) if told.is_file() else {}
        if RANK == 0 and known.get("key") != key.hexdigest():
            if known and last_state(a.work) is not None:
                raise Refusal(f"The texts are not those that the training in {a.work} began with.")
            say(f"Tokenising {', '.join(str(path) for path in paths)} …")
            facts = tokenise(paths, a.text_field, tokenizer, end, self.file)
            told.write_text(json.dumps({"key": key.hexdigest(), "files": facts}), encoding="utf-8")
        self.told = told

    def files(self):
        return read_json(self.told)["files"]

    def blocks(self, context):
        """Shape [blocks, context]; what is left over at the end is dropped."""
        count = self.file.stat().st_size // 4 // context
        if count == 0:
            total = self.file.stat().st_size // 4
            raise Refusal(f"{self.file.stem}: {total} tokens do not fill one block of {context} (--context).")
        return np.memmap(self.file, dtype=np.int32, mode="r", shape=(count, context))


class Blocks(torch.utils.data.Dataset):
    """Packed blocks; every token but the first of each is predicted."""

    def __init__(self, blocks, indices):
        self.blocks, self.indices = blocks, indices

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        ids = torch.from_numpy(self.blocks[self.indices[index]].astype(np.int64))
        return {"input_ids": ids, "labels": ids}


def end_of_text(model, tokenizer):
    """The id that stands between documents: the config's, or else the tokenizer's."""
    configs = (model.config, model.config.get_text_config())
    given = next((found for each in configs if (found := getattr(each, "eos_token_id", None)) is not None), None)
    first = given[0] if isinstance(given, list) and given else given
    return first if isinstance(first, int) else tokenizer.eos_token_id


# ---------------------------------------------------------------------------------------------------------------- model


def load_model(a, recipe, precision):
    """The grown model with everything frozen but its new layers, exactly as recipe.json names them."""
    try:
        config = AutoConfig.from_pretrained(a.model)
    except (OSError, ValueError) as problem:
        raise Refusal(f"{a.model}/config.json cannot be used: {problem}") from None
    depth = recipe["num_hidden_layers"]["after"]
    found = config.get_text_config().num_hidden_layers
    if found != depth:
        raise Refusal(f"recipe.json is of a model with {depth} layers, {a.model}/config.json has {found}.")
    stored = getattr(torch, recipe["dtype"])
    dtype = torch.float32 if precision == "fp32" else stored
    kind = getattr(transformers, recipe.get("model_class", "AutoModelForCausalLM"))
    model = kind.from_pretrained(a.model, dtype=dtype, local_files_only=True)
    model.config.get_text_config().use_cache = False

    parameters = dict(model.named_parameters())
    expected = {each["name"]: tuple(each["shape"]) for each in recipe["trained"]}
    prefixes = tuple(f"{recipe['layer_prefix']}{layer}." for layer in recipe["new_layers"])
    views = stored_views(model)
    actual = {name: tuple(cut(parameters[own]).shape) for name, (own, cut) in views.items() if name.startswith(prefixes)}
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            raise Refusal(f"recipe.json is not of this model: {name} is {actual.get(name, 'missing')} "
                          f"in the model and {expected.get(name, 'missing')} in the recipe.")
    model.requires_grad_(False)
    owners = {views[name][0] for name in expected}
    for name in owners:
        parameter = parameters[name]
        if a.trained_dtype == "float32":
            parameter.data = parameter.data.to(torch.float32)
        parameter.requires_grad_(True)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if trained != recipe["trained_parameters"]:
        raise Refusal(f"{trained} parameters would be trained, recipe.json says {recipe['trained_parameters']}.")
    # A layer whose output matrices are zero passes its input on; they may take another rate than the others.
    zeros = [name for name in owners if parameters[name].ndim > 1 and not parameters[name].any()]
    if not a.no_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        # Enabling it lets the embeddings' output ask for gradients, and the backward pass would run through every
        # frozen layer below the first trained one. Nothing there is trained.
        model.disable_input_require_grads()
    return model, zeros


def rate_factor(schedule, steps, warmup):
    """What the learning rate is multiplied by at each step, counted from 1; as in LESA Workbench."""
    decay = math.floor(steps * 0.2)

    def factor(step):
        rising = step / (warmup + 1) if step <= warmup else 1.0
        if schedule == "constant":
            return rising
        if schedule == "cosine":
            length = steps - warmup
            done = 1.0 if length <= 1 else min(1.0, max(0, step - warmup - 1) / (length - 1))
            return rising if step <= warmup else (1 + math.cos(math.pi * done)) / 2
        falling = 1.0 if decay == 0 or step <= steps - decay else 1 - math.sqrt(min(1.0, (step - steps + decay) / decay))
        return min(rising, falling)

    return factor


class LayerTrainer(Trainer):
    """A Trainer whose optimiser knows of zero matrices, and whose schedule is that of LESA Workbench."""

    def __init__(self, *given, zeros, output_factor, factor, **named):
        super().__init__(*given, **named)
        self.zeros, self.output_factor, self.factor = set(zeros), output_factor, factor

    def create_optimizer(self, model=None):
        if self.optimizer is None:
            a = self.args
            trained = [(n, p) for n, p in (model or self.model).named_parameters() if p.requires_grad]
            groups = [
                {"params": [p for n, p in trained if n not in self.zeros], "lr": a.learning_rate},
                {"params": [p for n, p in trained if n in self.zeros], "lr": a.learning_rate * self.output_factor},
            ]
            self.optimizer = torch.optim.AdamW(
                [group for group in groups if group["params"]],
                lr=a.learning_rate, betas=(a.adam_beta1, a.adam_beta2), eps=a.adam_epsilon, weight_decay=a.weight_decay,
            )
        return self.optimizer

    def create_scheduler(self, num_training_steps, optimizer=None):
        if self.lr_scheduler is None:
            # The scheduler counts steps taken; the step that comes next is one more.
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, lambda taken: self.factor(taken + 1))
            self._created_lr_scheduler = True
        return self.lr_scheduler


class Report(TrainerCallback):
    """Prints each step and each measurement, keeps them in log.jsonl, and stops where that is asked for."""

    def __init__(self, work, stop_after):
        self.file, self.stop_after = work / "log.jsonl", stop_after

    def on_log(self, args, state, control, logs=None, **_):
        if RANK != 0 or not logs:
            return
        names = {"loss": "loss", "eval_eval_loss": "eval", "eval_forgetting_loss": "forgetting",
                 "learning_rate": "lr", "grad_norm": "gradient"}
        told = {names[key]: value for key, value in logs.items() if key in names}
        if told:
            line = "  ".join(f"{name} {value:.3g}" if name == "lr" else f"{name} {value:.4f}" for name, value in told.items())
            print(f"step {state.global_step}/{state.max_steps}  {line}", flush=True)
            with open(self.file, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **told}) + "\n")

    def on_step_end(self, args, state, control, **_):
        if self.stop_after is not None and state.global_step >= self.stop_after:
            control.should_save = control.should_training_stop = True


def last_state(work):
    """The newest complete state in --work: the Trainer writes trainer_state.json last."""
    states = [Path(each).parent for each in glob.glob(str(Path(work) / "checkpoint-*" / "trainer_state.json"))]
    return max(states, key=lambda each: int(each.name.rsplit("-", 1)[1]), default=None)


# -------------------------------------------------------------------------------------------------------------- writing


def stored_files(model):
    """The checkpoint's safetensors files and the names in each."""
    index = model / "model.safetensors.index.json"
    if index.is_file():
        files = {}
        for name, file in read_json(index)["weight_map"].items():
            files.setdefault(file, []).append(name)
        return files
    with safe_open(model / "model.safetensors", framework="pt") as file:
        return {"model.safetensors": list(file.keys())}


def stored_views(model):
    """How a checkpoint has the model's parameters: {name: (the parameter's name, what cuts the values out of it)}.

    transformers holds all experts of a layer in two parameters, gates above ups in one of them, and calls Mixtral's router
    otherwise than its files do.
    """
    kind_of_model = model.config.get_text_config().model_type
    is_mixtral = kind_of_model == "mixtral"
    if kind_of_model == "gemma4_text":
        # Its files have them as transformers has.
        return {own: (own, lambda values: values) for own, _ in model.named_parameters()}
    parts = {"gate_up_proj": ["gate_proj", "up_proj"], "down_proj": ["down_proj"]}
    called = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"} if is_mixtral else {}
    views = {}
    for own, parameter in model.named_parameters():
        name = own.replace(".mlp.", ".block_sparse_moe.") if is_mixtral else own
        module, _, kind = name.rpartition(".")
        if not module.endswith(".experts") or parameter.ndim != 3 or kind not in parts:
            views[name] = own, lambda values: values
            continue
        rows = parameter.shape[1] // len(parts[kind])
        for expert in range(parameter.shape[0]):
            for at, part in enumerate(parts[kind]):
                place = slice(at * rows, (at + 1) * rows)
                stored = f"{module}.{expert}.{called.get(part, part)}.weight"
                views[stored] = own, lambda values, expert=expert, place=place: values[expert, place]
    return views


def whole(parameter):
    """A parameter on the CPU, gathered from all processes where it is divided among them: all of them have to ask."""
    value = parameter.detach()
    value = value.full_tensor() if hasattr(value, "full_tensor") else value
    return value.cpu()


def same_bits(a, b):
    as_bytes = lambda tensor: tensor.contiguous().view(-1).view(torch.uint8)  # noqa: E731
    return a.shape == b.shape and torch.equal(as_bytes(a), as_bytes(b))


def write_checkpoint(a, model, trained, record, renamed):
    """Writes trained tensors in their stored types, and what was frozen byte for byte, once that is seen to be as it was.

    renamed: what begins names of the model's modules, and what begins the same names in the files.
    """
    source, partial = a.model.resolve(), a.out.with_name(a.out.name + ".partial")
    if RANK == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    stored = lambda name: next((f + name[len(m):] for m, f in renamed.items() if name.startswith(m)), name)  # noqa: E731
    parameters = dict(model.named_parameters())
    views = {stored(name): view for name, view in stored_views(model).items()}
    trained = {stored(name) for name in trained}
    files = stored_files(source)
    stored_names = {name for names in files.values() for name in names}
    # Biases that the files leave out are zero; once they are trained they are not.
    added = sorted(trained - stored_names)
    last = list(files)[-1]
    checked = 0
    # All experts of a layer are one parameter: it is gathered once.
    gathered = None, None
    for file, names in files.items():
        with safe_open(source / file, framework="pt") as opened:
            tensors = {}
            for name in [*names, *(added if file == last else [])]:
                owner, cut = views.get(name, (None, None))
                if owner is not None and gathered[0] != owner:
                    gathered = owner, whole(parameters[owner])
                value = cut(gathered[1]) if owner is not None else None
                if RANK != 0:
                    continue
                before = opened.get_tensor(name) if name in stored_names else None
                if name in trained:
                    dtype = before.dtype if before is not None else next(iter(tensors.values())).dtype
                    after = value.to(dtype)
                    if not torch.isfinite(after).all():
                        raise Refusal(f"{name} is not finite after training: nothing is written. Try a lower --lr.")
                    tensors[name] = after.contiguous()
                    continue
                if value is not None:
                    checked += 1
                    if not same_bits(before.to(value.dtype), value):
                        raise Refusal(f"{name} was frozen, and is not what it was: nothing is written.")
                tensors[name] = before
            if RANK == 0:
                save_file(tensors, partial / file, metadata={"format": "pt"})
    if RANK != 0:
        return
    say(f"Frozen tensors that are bit for bit as they were: {checked}. Trained tensors: {len(trained)}.")
    copy_others(source, partial, added, last)
    write_texts(source, partial, record)
    if a.out.exists():
        shutil.rmtree(a.out)
    partial.rename(a.out)


def copy_others(source, partial, added, last):
    """Config, tokenizer and what else there is, but weights and recipes."""
    for path in sorted(source.iterdir()):
        if path.name in ("recipes", "lesa.json", "README.md") or path.name.startswith("."):
            continue
        if path.is_dir():
            shutil.copytree(path, partial / path.name)
        elif path.suffix != ".safetensors":
            shutil.copyfile(path, partial / path.name)
    index = partial / "model.safetensors.index.json"
    if added and index.is_file():
        content = read_json(index)
        content["weight_map"].update({name: last for name in added})
        index.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_texts(source, partial, record):
    lesa = read_json(source / "lesa.json") if (source / "lesa.json").is_file() else {}
    lesa["training"] = [*lesa.get("training", []), record]
    (partial / "lesa.json").write_text(json.dumps(lesa, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    card = source / "README.md"
    before = card.read_text(encoding="utf-8").rstrip() if card.is_file() else f"# {partial.stem}"
    number = len(lesa["training"])
    rows = [("learning rate", record["lr"]), ("schedule", f"{record['schedule']}; warm-up {record['warmup']} steps"),
            ("windows", f"{record['batch']} of {record['context']} tokens a step"), ("seed", record["seed"]),
            ("texts", ", ".join(each["name"] for each in record["texts"])),
            ("loss", "{first:.4f} → {last:.4f}".format(**record["loss"]))]
    rows += [(f"{kind} loss", "{first:.4f} → {last:.4f} ({text})".format(**record[kind]))
             for kind in ("eval", "forgetting") if record[kind]]
    (partial / "README.md").write_text("\n".join([
        before, "", "## Training" if number == 1 else f"## Training {number}", "",
        f"Then trained for {record['steps']} steps on {record['tokens']:,} tokens (repetitions counted) with recipes/train.py: "
        f"layers {', '.join(map(str, record['trained_layers']))}. Everything else is as it was, bit for bit.", "",
        "| Setting | Value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows), "",
    ]), encoding="utf-8")


def record_of(a, recipe, trainer, steps, warmup, parts, device):
    """What lesa.json says of this training, in the form of the program's own."""
    history = trainer.state.log_history
    losses = [entry["loss"] for entry in history if "loss" in entry]

    def measured(part):
        values = [entry[f"eval_{part}_loss"] for entry in history if f"eval_{part}_loss" in entry]
        if part not in parts or not values:
            return None
        text, tokens = parts[part]
        return {"text": text, "tokens": tokens, "first": values[0], "last": values[-1]}

    return {
        "steps": steps, "tokens": steps * a.batch * a.context, "context": a.context, "batch": a.batch, "lr": a.lr,
        "output_lr_factor": a.output_lr_factor, "schedule": a.schedule, "warmup": warmup,
        "weight_decay": a.weight_decay, "betas": [a.beta1, a.beta2], "epsilon": a.epsilon, "clip": a.clip,
        "trained_layers": recipe["new_layers"], "trained_parts": "all", "order": "shuffled", "seed": a.seed,
        "texts": parts["texts"], "loss": {"first": losses[0], "last": losses[-1]},
        "eval": measured("eval"), "forgetting": measured("forgetting"), "device": device,
        "trainer": f"recipes/train.py, PyTorch {torch.__version__}, transformers {transformers.__version__}, "
                   f"{WORLD} {'process' if WORLD == 1 else 'processes'}",
    }


# ----------------------------------------------------------------------------------------------------------------- main


def precision_of(a, recipe, device):
    if a.precision != "auto":
        return a.precision
    if device == "cpu" or recipe["dtype"] == "float32":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def training_arguments(a, precision, device, steps):
    several = WORLD > 1
    return TrainingArguments(
        output_dir=str(a.work), max_steps=steps, seed=a.seed, data_seed=a.seed,
        per_device_train_batch_size=a.micro_batch, per_device_eval_batch_size=a.micro_batch,
        gradient_accumulation_steps=a.batch // (WORLD * a.micro_batch),
        learning_rate=a.lr, weight_decay=a.weight_decay, adam_beta1=a.beta1, adam_beta2=a.beta2,
        adam_epsilon=a.epsilon, max_grad_norm=a.clip,
        bf16=precision == "bf16", fp16=precision == "fp16", use_cpu=device == "cpu",
        # Checkpointing is switched on by hand in load_model, which says why.
        gradient_checkpointing=False,
        eval_strategy="steps", eval_steps=a.eval_every or max(10, round(steps / 20)), eval_on_start=True,
        prediction_loss_only=True, logging_steps=1, logging_nan_inf_filter=False,
        save_strategy="steps", save_steps=a.save_every or max(1, round(steps / 10)), save_total_limit=2,
        report_to=a.report_to, disable_tqdm=True, remove_unused_columns=False,
        # FSDP2 divides each parameter by itself, so that frozen and trained ones may stand side by side.
        **({"fsdp": True, "fsdp_config": {"version": 2, "reshard_after_forward": True,
                                          "cpu_ram_efficient_loading": False,
                                          "state_dict_type": "SHARDED_STATE_DICT"}} if several else {}),
        # The first process tokenises while the others wait.
        ddp_timeout=6 * 3600, **({"ddp_backend": "gloo"} if several and device == "cpu" else {}),
    )


def material(a, tokenizer, end, args):
    """Blocks to train on, to evaluate on, of the forgetting text, and what the record tells of each."""
    with args.main_process_first(local=False):
        a.work.mkdir(parents=True, exist_ok=True)
        train = Tokens("train", a.text, a, tokenizer, end)
        evaluation = Tokens("eval", [a.eval_text], a, tokenizer, end) if a.eval_text else None
        forgetting = Tokens("forgetting", [a.forgetting_text], a, tokenizer, end) if a.forgetting_text else None
    parts = {"texts": train.files()}
    blocks = train.blocks(a.context)
    order = np.random.default_rng(a.seed).permutation(len(blocks))
    held = 0
    measured = {}
    if evaluation is not None:
        found = evaluation.blocks(a.context)[: a.eval_blocks]
        measured["eval"] = Blocks(found, np.arange(len(found)))
        parts["eval"] = (a.eval_text.name, found.size)
    elif a.eval_share > 0:
        held = min(a.eval_blocks, max(1, round(a.eval_share * len(blocks))))
        measured["eval"] = Blocks(blocks, np.sort(order[:held]))
        parts["eval"] = (", ".join(each["name"] for each in parts["texts"]), held * a.context)
    if forgetting is not None:
        found = forgetting.blocks(a.context)[: a.eval_blocks]
        measured["forgetting"] = Blocks(found, np.arange(len(found)))
        parts["forgetting"] = (a.forgetting_text.name, found.size)
    training = Blocks(blocks, np.sort(order[held:]))
    if len(training) < a.batch:
        raise Refusal(f"The texts fill {len(training)} blocks of {a.context} tokens, a step takes {a.batch}: "
                      "give more text, or a smaller --batch or --context.")
    return training, measured, parts


def main():
    a, recipe = read_arguments()
    device = "cpu" if a.device == "cpu" or not torch.cuda.is_available() else "cuda"
    precision = precision_of(a, recipe, device)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    transformers.set_seed(a.seed)
    try:
        tokenizer = AutoTokenizer.from_pretrained(a.model, local_files_only=True)
    except Exception as problem:  # of many kinds, all about the files
        raise Refusal(f"{a.model} has no tokenizer that transformers can read: {problem}") from None
    # Where blocks end is decided here, whatever length the tokenizer warns of.
    tokenizer.model_max_length = 10**12
    # Made before the model, so that processes know of each other.
    args = training_arguments(a, precision, device, steps=a.steps or 1)
    model, zeros = load_model(a, recipe, precision)
    training, measured, parts = material(a, tokenizer, end_of_text(model, tokenizer), args)
    steps = a.steps or max(1, math.floor((a.tokens or a.epochs * len(training) * a.context) / (a.batch * a.context)))
    if steps != a.steps:
        args = training_arguments(a, precision, device, steps)
    if not measured:
        args.eval_strategy, args.eval_on_start = transformers.trainer_utils.IntervalStrategy.NO, False
    warmup = min(100, round(steps * 0.1)) if a.warmup is None else a.warmup
    trained = {each["name"] for each in recipe["trained"]}
    say(f"{recipe['trained_parameters']:,} of {recipe['parameters']:,} parameters are trained, in layers "
        f"{', '.join(map(str, recipe['new_layers']))}; {len(training):,} blocks of {a.context} tokens, "
        f"{steps} steps of {a.batch}; {WORLD} × {device}, {precision}.")

    trainer = LayerTrainer(
        model, args, train_dataset=training, eval_dataset=measured or None, callbacks=[Report(a.work, a.stop_after)],
        zeros=zeros, output_factor=a.output_lr_factor, factor=rate_factor(a.schedule, steps, warmup),
    )
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    state = last_state(a.work) if a.resume else None
    if state is not None:
        say(f"Going on from {state}.")
    trainer.train(resume_from_checkpoint=str(state) if state else None)
    if trainer.state.global_step < steps:
        say(f"Stopped after step {trainer.state.global_step} of {steps}; the same command with --resume goes on.")
        return
    if measured and not any(f"eval_{next(iter(measured))}_loss" in e and e["step"] == steps for e in trainer.state.log_history):
        trainer.evaluate()
    record = record_of(a, recipe, trainer, steps, warmup, parts, device)
    if not math.isfinite(record["loss"]["last"]):
        raise Refusal("The loss is not a number: nothing is written. Try a lower --lr.")
    write_checkpoint(a, trainer.model, trained, record, recipe.get("stored_names", {}))
    say(f"Wrote {a.out}. {a.work} holds tokens and states, and can be removed.")


def complain(text):
    if LOCAL_RANK == 0:
        print(f"error: {text}", file=sys.stderr, flush=True)
    # Others may wait for this process for ever; torchrun ends them when it is gone.
    os._exit(1)


if __name__ == "__main__":
    try:
        main()
    except Refusal as refusal:
        complain(refusal)
    except torch.OutOfMemoryError as problem:
        complain("The GPU's memory is full. Lower --micro-batch or --context, give --trained-dtype stored, or take more "
                 f"GPUs. ({str(problem).splitlines()[0]})")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
