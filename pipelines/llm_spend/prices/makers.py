"""Who made a model that a cloud sells: the cloud is the channel (it bills), the maker is the provider."""

from __future__ import annotations

_BEDROCK_SCOPES = ("global.", "regional.")


def maker(channel: str, model_id: str) -> str:
    """The provider of a model in a channel's catalogue, such as anthropic for a Claude model on aws."""
    name = model_id.lower()
    if channel == "aws":
        for scope in _BEDROCK_SCOPES:
            name = name.removeprefix(scope)
        prefix, dot, _ = name.partition(".")
        return {"zai": "z-ai"}.get(prefix, prefix) if dot else channel
    if channel == "openrouter" or channel.startswith("huggingface_"):
        return name.lstrip("~").partition("/")[0]
    if channel == "google" and name.startswith("claude"):
        return "anthropic"
    if channel == "azure":
        return "microsoft" if name.startswith(("phi", "wizardlm", "mai-")) else "openai"
    return channel
