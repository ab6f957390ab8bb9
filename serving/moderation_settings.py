"""What of the content filter is switched on; apart from it, so that settings load no model code."""

from pydantic import BaseModel, ConfigDict, Field


class ModerationSettings(BaseModel):
    """What is filtered, `TIDEGATE_MODERATION_*`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompts: bool = Field(True, description="Refuse prompts that insult or ask for somebody's personal data.")
    answers: bool = Field(
        True, description="Mask personal data in answers, and end them where they become abusive."
    )
    abuse: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Probability of abuse, by the guard in the bundle, from which a text is refused.",
    )
