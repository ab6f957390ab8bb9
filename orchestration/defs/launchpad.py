"""Turns a trainer's pydantic configuration into typed Dagster config, so that the Launchpad shows every field.

The trainers know no Dagster; deriving the config keeps one definition of each hyper-parameter, default and description.
"""

from typing import Any, TypeVar, get_args, get_origin

from dagster import Config
from pydantic import BaseModel, Field, create_model
from pydantic_core import PydanticUndefined

T = TypeVar("T", bound=BaseModel)


def launchpad_config(model: type[BaseModel]) -> type[Config]:
    """A Dagster `Config` with the fields, defaults and descriptions of `model`; nested models become groups."""
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        annotation: Any = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            group = launchpad_config(annotation)
            fields[name] = (group, Field(default_factory=group, description=info.description))
            continue
        default = info.get_default(call_default_factory=True)
        if default is PydanticUndefined:
            default = ...
        if get_origin(annotation) is tuple:
            annotation = list[get_args(annotation)[0]]  # type: ignore[misc]
            default = list(default)
        fields[name] = (annotation, Field(default, description=info.description))
    return create_model(f"{model.__name__}Launchpad", __base__=Config, __doc__=model.__doc__, **fields)


def trainer_config(model: type[T], config: Config) -> T:
    """The trainer's own configuration with the Launchpad's values. Raises ValidationError on values out of range."""
    return model.model_validate(config.model_dump())
