"""Posts that talk to the model instead of to people: what tries to turn a quotation into an instruction.

Quoting keeps such a post from ending its quotation (`training.generator.tasks.quote`); a model may follow it none the
less, so retrieval leaves it out. By form, English and Chinese; a clever attack in plain words passes.
"""

from typing import Literal

import regex

from training.privacy.recogniser import plain

Attack = Literal["control-token", "role", "override", "reveal"]

_FORMS: dict[Attack, "regex.Pattern[str]"] = {
    # Special tokens of chat templates: ChatML, Llama 2 and 3, Gemma, Mistral, Phi, DeepSeek, and closing delimiters.
    "control-token": regex.compile(
        r"(?i)<[|｜][a-z_▁ ]{2,30}[|｜]>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|<\|?(?:eot_id|eos|bos|im_end)\|?>"
        r"|</?s>|</?(?:system|assistant|user|instructions?|posts?|context|documents?|tool_call)\b[^>\n]{0,40}>"
        r"|\[/?(?:TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS)\]"
    ),
    "role": regex.compile(
        r"(?im)^[\s>*#\"'\-`]{0,8}(?:system|assistant|developer|ai|系统|助手|开发者)"
        r"(?: (?:message|prompt|note)|提示词?|消息)?"
        r"\s{0,2}:(?!//)"
    ),
    "override": regex.compile(
        r"(?i)\b(?:ignore|disregard|forget|override|bypass|do not follow|stop following)\b[^.!?\n]{0,40}?"
        r"\b(?:previous|prior|above|earlier|preceding|all|any|your|the|system)\b[^.!?\n]{0,20}?"
        r"\b(?:instructions?|prompts?|rules?|guidelines?|directions?|messages?|context)\b"
        r"|\b(?:you are now|from now on,? you(?:'re| are| will| must)|act as|pretend (?:to be|you are))"
        r"[^.!?\n]{0,60}?\b(?:dan|unrestricted|no (?:rules|restrictions|limits)|jailbroken|developer mode|admin|root)\b"
        r"|\bnew (?:system )?instructions?:"
        r"|(?:忽略|无视|忘记|忘掉|不要(?:理会|遵守|遵循)|跳过|覆盖)[^。！？\n]{0,12}?(?:之前|以上|上面|前面|先前|上述|所有|全部|系统|你的)"
        r"[^。！？\n]{0,10}?(?:指令|指示|提示|规则|要求|命令|设定|内容)"
        r"|(?:从现在(?:开始|起)|现在)[，,]?你(?:是|就是|要扮演|必须)[^。！？\n]{0,20}?(?:没有(?:任何)?限制|不受(?:任何)?限制|管理员|开发者模式|越狱)"
    ),
    "reveal": regex.compile(
        r"(?i)\b(?:reveal|print|repeat|show|output|leak|tell (?:me|us)|send|give (?:me|us))\b[^.!?\n]{0,40}?"
        r"\b(?:system prompt|hidden (?:prompt|instructions?)|initial (?:prompt|instructions?)"
        r"|(?:the|your) instructions?"
        r"|api keys?|secret (?:key|code|token)|passphrase|words above|text above)\b"
        r"|(?:输出|打印|重复|透露|泄露|告诉我|显示|说出)[^。！？\n]{0,15}?(?:系统提示|提示词|系统消息|初始指令|隐藏(?:的)?指令|密钥|口令|上面的(?:文字|内容))"
    ),
}


def injections(text: str) -> list[Attack]:
    """The kinds of attack whose form `text` has; empty for a post that talks to people."""
    shown = "".join(c for c in plain(text) if c == "\n" or c.isprintable())
    return [kind for kind, form in _FORMS.items() if form.search(text) or form.search(shown)]
