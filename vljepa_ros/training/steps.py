"""What a step of training computes: modules that turn a batch into a loss, one for each stage."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import pad_sequence

from vljepa_ros.model import VLJEPA
from vljepa_ros.training.class_windows import show_classes
from vljepa_ros.training.dataset import HARD_NEGATIVES, Batch
from vljepa_ros.training.objective import Objective

# Texts embedded together: a CPU is slowed by padding, a GPU by many small batches.
_CPU_TEXTS, _GPU_TEXTS = 64, 512
_KNOWN_TEXTS = 200_000  # that are kept, of about 10 kB each


class Texts:
    """Embeds texts while training; what is frozen of the Y-Encoder runs once a text."""

    def __init__(self, model: VLJEPA) -> None:
        self.y_encoder = model.y_encoder
        self.trained = any(p.requires_grad for p in model.y_encoder.parameters())
        # (L, text_dim) float16 token states; or (D,) embeddings, where nothing is trained.
        self.known: dict[str, Tensor] = {}

    def embed(self, texts: Sequence[str]) -> Tensor:
        """(B, D) float32 embeddings, through what is trained as it is now."""
        # Each text once, those of like length together: most of the work would be padding.
        different = sorted(set(texts), key=lambda text: (len(text), text))
        size = _CPU_TEXTS if self.y_encoder.head.weight.device.type == "cpu" else _GPU_TEXTS
        parts = [different[i : i + size] for i in range(0, len(different), size)]
        embedded = torch.cat([self._embed_alike(part) for part in parts])
        places = {text: place for place, text in enumerate(different)}
        return embedded[[places[text] for text in texts]]

    def embed_between(self, texts: Sequence[str], others: Sequence[str]) -> Tensor:
        """Random points between two wordings of each answer, where predictions lie: (B, D)."""
        first, second = self.embed([*texts, *others]).chunk(2)
        share = torch.rand(len(first), 1, device=first.device)
        return F.normalize(torch.lerp(first, second, share), dim=-1)

    def _embed_alike(self, texts: list[str]) -> Tensor:
        if self.trained and not self.y_encoder.frozen:
            return self.y_encoder(texts)
        new = [text for text in texts if text not in self.known]
        if new:
            # Fused attention gives a text the same states whatever else is in its batch: a resumed
            # run encodes them in other batches than the killed one did.
            with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
                self.known.update(zip(new, self._encode(new), strict=True))
        known = [self.known[text] for text in texts]
        while len(self.known) > _KNOWN_TEXTS:
            del self.known[next(iter(self.known))]
        if not self.trained:
            return torch.stack(known)
        states = pad_sequence(known, True).float()
        lengths = torch.tensor([len(state) for state in known])
        mask = (torch.arange(states.shape[1]) < lengths[:, None]).to(states.device)
        return self.y_encoder.embed(states, mask)

    def _encode(self, texts: list[str]) -> list[Tensor]:
        """What is kept of texts."""
        if not self.trained:
            with torch.no_grad():
                return list(self.y_encoder(texts))
        states, mask = self.y_encoder.encoder_states(texts)
        lengths = mask.sum(1).tolist()
        return [state[:length].half() for state, length in zip(states, lengths, strict=True)]


class AlignmentStep(nn.Module):
    """Predicted embeddings towards those of the answers: trains predictor and Y-Encoder.

    Args:
        model: whose predictor is trained, and what of the Y-Encoder is not frozen.
        objective: how far embeddings are from where they should be.
        negatives: wrong answers to each query that a batch has at most.
        tokens: where the frames of the batches lie, if they are numbers.
    """

    def __init__(
        self,
        model: VLJEPA,
        objective: Objective,
        negatives: int = HARD_NEGATIVES,
        tokens: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.negatives = negatives if objective.takes_negatives else 0
        model.y_decoder.requires_grad_(False)
        self.model = model
        self.objective = objective
        self.texts = Texts(model)

    def forward(self, batch: Batch) -> Tensor:
        """Loss of a batch: scalar."""
        predicted = predict(self.model, batch, self.tokens)
        targets, negatives = self._embed(batch)
        # Cosines over a temperature are too close together for half precision.
        with torch.autocast(predicted.device.type, enabled=False):
            loss: Tensor = self.objective(
                predicted, targets, batch.meanings.to(predicted.device), negatives
            )
        return loss

    def _embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The true answers (B, D), and the wrong ones (B, K, D), zero where there are fewer."""
        if not self.negatives:
            return self.texts.embed(batch.texts), None
        wrong = [text for negatives in batch.negatives for text in negatives]
        embedded = self.texts.embed([*batch.texts, *wrong])
        targets, others = embedded.split([len(batch.texts), len(wrong)])
        places = [(row, i) for row, some in enumerate(batch.negatives) for i in range(len(some))]
        rows, columns = torch.tensor(places, dtype=torch.long).reshape(-1, 2).to(others.device).T
        padded = others.new_zeros(len(targets), self.negatives, others.shape[1])
        # Where there are none, too: all processes must have a gradient to share.
        return targets, padded.index_put((rows, columns), others)


class DecodingStep(nn.Module):
    """Embeddings to the plainest wording of their answer: trains the Y-Decoder alone.

    Half of what it reads are predicted embeddings of training windows, which lie apart from those
    of texts in a way that no noise of equal strength in all directions imitates.

    Args:
        model: whose other parts are done.
        noise: largest length of the noise added to a unit embedding.
        tokens: where the frames of the batches lie, if they are numbers.
    """

    def __init__(self, model: VLJEPA, noise: float, tokens: Tensor | None = None) -> None:
        super().__init__()
        self.tokens = tokens
        model.requires_grad_(False).eval()
        model.y_decoder.trained.requires_grad_(True)
        self.model = model
        self.noise = noise
        self.texts = Texts(model)

    def train(self, mode: bool = True) -> DecodingStep:
        """Keep all but the Y-Decoder in evaluation mode."""
        super().train(mode)
        self.model.eval()
        self.model.y_decoder.train(mode)
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Cross-entropy of the tokens of a batch's answers: scalar.

        Several processes weigh their own tokens, not those of all, alike.
        """
        with torch.no_grad():
            embeddings = _with_noise(self.embed(batch), self.noise)
        answers = [sample.answers[0] for sample in batch.samples]
        tokens, mask = (x.to(embeddings.device) for x in self.model.y_decoder.tokenize(answers))
        logits = self.model.y_decoder(embeddings, tokens[:, :-1])
        return F.cross_entropy(logits.float()[mask[:, 1:]], tokens[:, 1:][mask[:, 1:]])

    def embed(self, batch: Batch) -> Tensor:
        """What is to be decoded, (B, D): for the first half predicted, for the second true."""
        half = len(batch.samples) // 2
        predicted = predict(self.model, batch.part(0, half), self.tokens).float()
        told = batch.part(half, len(batch.samples))
        return torch.cat([predicted, self.texts.embed_between(told.texts, told.others)])


def predict(model: VLJEPA, batch: Batch, tokens: Tensor | None = None) -> Tensor:
    """Predicted embeddings (B, D) of a batch, on the model's device, as in `VLJEPA.forward`.

    Args:
        model: with its X-Encoder.
        batch: its frames, or their numbers.
        tokens: (F, N, C) on the model's device, if they are numbers.
    """
    some = next(model.predictor.parameters())
    frames = batch.frames.to(some.device, non_blocking=True)
    if tokens is not None:
        frames = tokens[frames]
    if frames.dtype == torch.uint8:
        pictures = frames.flatten(0, 1).permute(0, 3, 1, 2)
        window = model.encode_frames(pictures).unflatten(0, frames.shape[:2])
    else:
        kind = some.device.type
        half = torch.is_autocast_enabled(kind)
        window = frames.to(torch.get_autocast_dtype(kind) if half else some.dtype)
        show_classes(window, batch.shown.to(some.device, non_blocking=True))
    predicted: Tensor = model(window, [sample.query for sample in batch.samples])
    return predicted


def _with_noise(embeddings: Tensor, longest: float) -> Tensor:
    """(B, D) unit vectors, each moved by a random vector of a length up to `longest`."""
    noise = F.normalize(torch.randn_like(embeddings), dim=-1)
    length = torch.rand(len(noise), 1, device=noise.device) * longest
    return F.normalize(embeddings + noise * length, dim=-1)
