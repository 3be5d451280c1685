"""Every setting of an agent, typed, with its sentence. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = [
    "DEFAULT_LEARNING",
    "GENERATORS",
    "MODELS",
    "A2CConfig",
    "ActorConfig",
    "ActorCriticConfig",
    "CVAEGANConfig",
    "CVAEGANTraining",
    "GeneratorConfig",
    "GeneratorTraining",
    "HierarchicalTraining",
    "HierarchicalVAEConfig",
    "KLConfig",
    "LSTMVAEConfig",
    "LearningConfig",
    "MelodyLSTMConfig",
    "PPOConfig",
    "PretrainConfig",
    "Sampling",
    "TransformerVAEConfig",
    "TransformerVAETraining",
    "VAETraining",
    "model_name",
]

#: The types that products can be made in.
PRECISIONS = ("float32", "tf32", "bfloat16")


def _check(config: object, allowed: str, holds: Callable[[float], bool], *names: str) -> None:
    """Raise a ValueError where a setting is not finite or does not hold to what is allowed."""
    for name in names:
        value = getattr(config, name)
        if not (math.isfinite(value) and holds(value)):
            raise ValueError(f"{name}: {value!r} is not {allowed}.")


def _at_least_1(value: float) -> bool:
    return value >= 1


def _positive(value: float) -> bool:
    return value > 0


def _not_negative(value: float) -> bool:
    return value >= 0


@dataclass(frozen=True)
class MelodyLSTMConfig:
    """The size of a Melody_LSTM.

    Attributes:
        hidden: width of the embedding and of each layer (H).
        layers: LSTM layers.
        dropout: share of the features dropped before and after the LSTM in pretraining.
    """

    hidden: int = 128
    layers: int = 1
    dropout: float = 0.3

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self, "1 or more", _at_least_1, "hidden", "layers")
        _check(self, "from 0 to below 1", lambda value: 0 <= value < 1, "dropout")


@dataclass(frozen=True)
class GeneratorConfig:
    """What the four generators have in common.

    Attributes:
        latent: numbers of the latent vector z (Z).
        dropout: share of the features dropped in pretraining.
    """

    latent: int = 64
    dropout: float = 0.3

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self, "1 or more", _at_least_1, "latent")
        _check(self, "from 0 to below 1", lambda value: 0 <= value < 1, "dropout")


@dataclass(frozen=True)
class LSTMVAEConfig(GeneratorConfig):
    """The size of a VAE-LSTM (Pricop & Iftene).

    Attributes:
        hidden: width of each LSTM layer, in the encoder and in the decoder.
        layers: LSTM layers on each side.
    """

    dropout: float = 0.5
    hidden: int = 256
    layers: int = 2

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        _check(self, "1 or more", _at_least_1, "hidden", "layers")


@dataclass(frozen=True)
class TransformerVAEConfig(GeneratorConfig):
    """The size of a VAE-Transformer (Pricop & Iftene).

    Attributes:
        width: of the model; the feed-forward layer is four times as wide.
        heads: of the attention.
        layers: blocks on each side.
    """

    width: int = 256
    heads: int = 4
    layers: int = 2

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        _check(self, "1 or more", _at_least_1, "width", "heads", "layers")
        if self.width % self.heads:
            raise ValueError(f"width: {self.width} is not a multiple of heads, {self.heads}.")


@dataclass(frozen=True)
class CVAEGANConfig(GeneratorConfig):
    """The size of a CVAE-GAN (Ganorkar & Rathkanthiwar).

    Attributes:
        hidden: width of the decoder.
        encoder: width of the encoder, in each direction.
        critic: channels of the critic.
        styles: the corpora that it learns; the name of a corpus is that of its style.
        metres: the metres that it learns.
    """

    latent: int = 16
    dropout: float = 0.2
    hidden: int = 256
    encoder: int = 128
    critic: int = 64
    styles: tuple[str, ...] = ("chorales", "folk")
    metres: tuple[str, ...] = ("4/4", "3/4", "6/8")

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        _check(self, "1 or more", _at_least_1, "hidden", "encoder", "critic")
        for name in ("styles", "metres"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name}: {values!r} is not one name or more, each once.")


@dataclass(frozen=True)
class HierarchicalVAEConfig(GeneratorConfig):
    """The size of a hierarchical RNN-VAE (Zhao et al.).

    Attributes:
        hidden: width of each level, in the encoder and in the decoder, and of the embeddings.
        heads: of the attention.
        levels: recurrent levels on each side; 2 is the model, 1 has no hierarchy.
        variational: whether there is a latent vector; without it z is 0.
    """

    hidden: int = 128
    heads: int = 2
    levels: int = 2
    variational: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        _check(self, "1 or more", _at_least_1, "hidden", "heads", "levels")
        if self.hidden % self.heads:
            raise ValueError(f"hidden: {self.hidden} is not a multiple of heads, {self.heads}.")


ActorConfig = MelodyLSTMConfig | GeneratorConfig


@dataclass(frozen=True)
class ActorCriticConfig:
    """The sizes of an actor-critic.

    Attributes:
        actor: the size of the actor: of a Melody_LSTM, or of a generator.
        critic_hidden: width of the separate critic's two layers.
        shared: let the value be a linear readout of the actor's LSTM instead.
    """

    actor: ActorConfig = field(default_factory=MelodyLSTMConfig)
    critic_hidden: int = 128
    shared: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self, "1 or more", _at_least_1, "critic_hidden")
        if self.shared and not isinstance(self.actor, MelodyLSTMConfig):
            raise ValueError("shared: a generator has no outputs to share; its critic is separate.")


@dataclass(frozen=True)
class PretrainConfig:
    """How Melody_LSTM is pretrained.

    Attributes:
        epochs: passes over the training windows.
        batch: windows a step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        hop: bars from one training window to the next.
        seed: fixes weights, order and dropout.
    """

    epochs: int = 32
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    hop: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self, "1 or more", _at_least_1, "epochs", "batch", "hop")
        _check(self, "above 0", _positive, "learning_rate")
        _check(self, "0 or more", _not_negative, "weight_decay", "seed")


@dataclass(frozen=True)
class GeneratorTraining(PretrainConfig):
    """How a generator is pretrained.

    Attributes:
        patience: epochs without a better validation loss after which it stops.
        beta: weight of the KL from the posterior to the prior, once it has risen.
        warmup: share of the epochs over which that weight rises from 0.
        free_bits: nats of KL that each number of z may have for nothing.
    """

    learning_rate: float = 1e-3
    patience: int = 10
    beta: float = 1.0
    warmup: float = 0.3
    free_bits: float = 0.05

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        _check(self, "1 or more", _at_least_1, "patience")
        _check(self, "0 or more", _not_negative, "beta", "free_bits")
        _check(self, "from 0 to 1", lambda value: 0 <= value <= 1, "warmup")


@dataclass(frozen=True)
class VAETraining(GeneratorTraining):
    """How a VAE-LSTM is pretrained.

    Attributes:
        precision: of the products: ``"float32"``, or ``"bfloat16"``, which some processors make
            twice as fast.
    """

    epochs: int = 14
    learning_rate: float = 2e-3
    patience: int = 5
    free_bits: float = 0.08
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision: {self.precision!r} is not float32 or bfloat16.")


@dataclass(frozen=True)
class TransformerVAETraining(VAETraining):
    """How a VAE-Transformer is pretrained: as a VAE-LSTM, with defaults of its own."""

    epochs: int = 10
    learning_rate: float = 1e-3
    free_bits: float = 0.06


@dataclass(frozen=True)
class HierarchicalTraining(GeneratorTraining):
    """How a hierarchical RNN-VAE is pretrained.

    Attributes:
        reading: share of the epochs before the next two begin.
        emotion: weight of the emotion loss; at 0 it is off.
        adversarial: weight of the adversarial loss; at 0 it is off.
    """

    epochs: int = 22
    reading: float = 0.5
    emotion: float = 0.5
    adversarial: float = 0.02

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        _check(self, "from 0 to 1", lambda value: 0 <= value <= 1, "reading")
        _check(self, "0 or more", _not_negative, "emotion", "adversarial")


#: What of a CVAE-GAN is trained.
PARTS = ("both", "cvae", "gan")


@dataclass(frozen=True)
class CVAEGANTraining(GeneratorTraining):
    """How a CVAE-GAN is pretrained.

    Attributes:
        withheld: share of the melodies that are learned without their chords.
        parts: ``"both"``, or ``"cvae"`` or ``"gan"`` alone.
        curriculum: begin with short and simple excerpts.
        alpha: weight of the CVAE's loss.
        gamma: weight of what the critic says of the generator's melodies.
        delta: weight of the critic's loss.
        critic_steps: of the critic to one of the generator.
        every: batches from one turn of the GAN to the next.
        rows: melodies a step of the GAN.
    """

    epochs: int = 24
    learning_rate: float = 3e-3
    free_bits: float = 0.2
    withheld: float = 0.2
    parts: str = "both"
    curriculum: bool = True
    alpha: float = 1.0
    gamma: float = 0.3
    delta: float = 1.0
    critic_steps: int = 5
    every: int = 3
    rows: int = 32

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        _check(self, "1 or more", _at_least_1, "critic_steps", "every", "rows")
        _check(self, "0 or more", _not_negative, "alpha", "gamma", "delta")
        _check(self, "from 0 to 1", lambda value: 0 <= value <= 1, "withheld")
        if self.parts not in PARTS:
            raise ValueError(f"parts: {self.parts!r} is not one of {', '.join(PARTS)}.")


@dataclass(frozen=True)
class KLConfig:
    """The price of leaving the prior.

    Attributes:
        beta: reward taken for each nat of KL a step; at 0 the KL is reported only.
        target: nats a step that beta is adapted to; None keeps beta fixed.
    """

    beta: float = 0.0
    target: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not (math.isfinite(self.beta) and self.beta >= 0):
            raise ValueError(f"kl.beta: {self.beta!r} is not 0 or more.")
        if self.target is not None and not (0 < self.target < math.inf and self.beta > 0):
            raise ValueError("kl.target: it must be above 0, with a kl.beta above 0 to start from.")


@dataclass(frozen=True)
class LearningConfig:
    """What PPO and A2C have in common.

    Attributes:
        total_steps: environment steps of the whole run.
        learning_rate: of Adam at the start; it falls in a half cosine to a fiftieth.
        gamma: discount; 1 suits melodies of fixed length.
        lam: lambda of the generalised advantage.
        value_weight: weight of the value loss.
        entropy_weight: weight of the entropy bonus.
        max_grad_norm: gradients are clipped to this norm.
        kl: the price of leaving the prior.
        precision: of the LSTM's products: ``"float32"``, ``"bfloat16"``, or ``"tf32"``, which
            rounds all products on a GPU that can. Weights, sums and losses are float32 always.
        seed: fixes the run.
    """

    total_steps: int = 1_000_000
    learning_rate: float = 1e-3
    gamma: float = 1.0
    lam: float = 0.95
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    max_grad_norm: float = 0.5
    kl: KLConfig = field(default_factory=KLConfig)
    precision: str = "float32"
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision: {self.precision!r} is not one of {', '.join(PRECISIONS)}."
            )
        _check(self, "from 0 to 1", lambda value: 0 <= value <= 1, "gamma", "lam")
        _check(self, "above 0", _positive, "total_steps", "learning_rate", "max_grad_norm")
        _check(self, "0 or more", _not_negative, "value_weight", "entropy_weight", "seed")


@dataclass(frozen=True)
class PPOConfig(LearningConfig):
    """PPO's own settings.

    Attributes:
        clip: how far the probability ratio may move, in either direction.
        epochs: passes over the episodes of an iteration.
        minibatches: gradient steps a pass.
    """

    clip: float = 0.2
    epochs: int = 3
    minibatches: int = 4

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        _check(self, "above 0", _positive, "clip")
        _check(self, "1 or more", _at_least_1, "epochs", "minibatches")


@dataclass(frozen=True)
class A2CConfig(LearningConfig):
    """A2C's settings: those it shares with PPO, with defaults of its own."""

    learning_rate: float = 1e-3
    entropy_weight: float = 0.05


@dataclass(frozen=True)
class Sampling:
    """How events are drawn from logits.

    Attributes:
        temperature: divides the logits; 0 takes the most likely event.
        top_k: keep the k most likely events; 0 keeps all.
        top_p: keep the fewest events whose probabilities sum to this; 1 keeps all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.temperature <= 100:
            raise ValueError(f"temperature: {self.temperature!r} is not from 0 to 100.")
        if self.top_k < 0:
            raise ValueError(f"top_k: {self.top_k!r} is not 0 (all) or more.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p: {self.top_p!r} does not lie above 0 and up to 1.")


#: How the default agent learns: held to its prior at 0.14 nats a step. The critic sees all that
#: the rules need, so it may be trusted more than usual: lambda is below the usual 0.95.
DEFAULT_LEARNING = PPOConfig(
    total_steps=3_000_000, learning_rate=2e-3, lam=0.8, kl=KLConfig(beta=0.5, target=0.14)
)

#: The models that can be pretrained: name -> its size and how it is trained.
MODELS: dict[str, tuple[type[ActorConfig], type[PretrainConfig]]] = {
    "melody_lstm": (MelodyLSTMConfig, PretrainConfig),
    "lstm_vae": (LSTMVAEConfig, VAETraining),
    "transformer_vae": (TransformerVAEConfig, TransformerVAETraining),
    "cvae_gan": (CVAEGANConfig, CVAEGANTraining),
    "hierarchical_vae": (HierarchicalVAEConfig, HierarchicalTraining),
}

#: Those with a latent vector.
GENERATORS = tuple(name for name in MODELS if name != "melody_lstm")


def model_name(config: ActorConfig) -> str:
    """Return the name of the model that a size is of."""
    return next(name for name, (size, _) in MODELS.items() if type(config) is size)
