"""Korean and English words for what a claim turns out to be."""

from __future__ import annotations

from typing import Literal

Section = Literal["effects", "contradictions", "plans", "imprecise", "sound", "unchecked"]

#: Sections of the review, what matters most first.
SECTIONS: dict[Section, tuple[str, str]] = {
    "effects": ("효과라고 한 주장", "What is said about effects"),
    "contradictions": ("서로 어긋나거나 잘못된 수", "Contradictions and errors"),
    "plans": ("계획과 결과", "Plans and what became of them"),
    "imprecise": ("맞지 않거나 분명하지 않은 셈", "Arithmetic that fails or is unclear"),
    "sound": (
        "셈이나 다른 자료가 맞는 것 (효과에 대한 말이 아님)",
        "Arithmetic or another source agrees (says nothing on effects)",
    ),
    "unchecked": ("공개 자료로 확인할 수 없는 것", "What nothing public can check"),
}

#: What recomputing can find, the gravest first: words in both languages, and the section it belongs to.
FOUND: dict[str, tuple[str, str, Section]] = {
    "contradicted": ("다른 자료와 어긋남", "contradicted by another source", "contradictions"),
    "two questions, two populations": ("질문도 대상도 다름", "two questions, two populations", "effects"),
    "two questions": ("질문이 다름", "two questions", "effects"),
    "two populations": ("대상이 다름", "two populations", "effects"),
    "arithmetic fails": ("셈이 맞지 않음", "arithmetic fails", "imprecise"),
    "plan not met": ("계획대로 되지 않음", "plan not met", "plans"),
    "no count": ("나올 수 없는 비율", "no count gives this share", "imprecise"),
    "duplicated number": ("같은 수가 두 번", "duplicated number", "contradictions"),
    "several counts": ("여러 개수가 가능함", "several counts give this share", "sound"),
    "plan, outcome unknown": ("계획, 결과는 알 수 없음", "a plan; no outcome known", "plans"),
    "plan met": ("계획과 같음", "plan met", "plans"),
    "count found if the base is right": ("기준 수가 맞다면 개수 확인", "count found, if the base is right", "sound"),
    "count found": ("개수 확인", "count found", "sound"),
    "rounded": ("어림한 수로 맞음", "holds as a rounded number", "sound"),
    "agrees": ("다른 자료와 같음", "agrees with another source", "sound"),
    "arithmetic holds": ("셈이 맞음", "arithmetic holds", "sound"),
    "same question, same population": ("질문과 대상이 같음", "same question, same population", "effects"),
    "not checkable": ("공개 자료로 계산할 수 없음", "not computable from what is public", "unchecked"),
}

#: What only a judgement can say, declared in the register with its reason.
DECLARED: dict[str, tuple[str, str, Section]] = {
    "not comparable": ("비교할 수 없음", "not comparable", "effects"),
    "weakly comparable": ("비교 근거가 약함", "weakly comparable", "effects"),
    "no comparison group": ("비교집단 없음", "no comparison group", "effects"),
    "misattributed": ("출처를 잘못 밝힘", "misattributed", "effects"),
    "coverage, not effect": ("효과가 아니라 대상 인원", "coverage, not effect", "effects"),
    "contradicted": ("다른 자료와 어긋남", "contradicted by another source", "contradictions"),
    "unit error": ("단위 잘못", "unit error", "contradictions"),
    "approximate": ("대략의 수", "approximate", "imprecise"),
    "ambiguous": ("뜻이 분명하지 않음", "ambiguous", "imprecise"),
    "not a total": ("합계가 아님", "not a total", "imprecise"),
    "lower bound": ("하한", "a lower bound", "sound"),
    "definition": ("정의", "a definition", "sound"),
    "difference explained": ("차이가 설명됨", "difference explained", "sound"),
}

#: Which facts would settle a claim about an effect.
MISSING: dict[str, tuple[str, str]] = {
    "same_question": ("두 집단에 같은 질문", "the same question to both groups"),
    "others": ("전체 주민이 아닌 비참여자만의 답", "non-participants alone instead of everybody"),
    "n_and_error": ("응답자 수와 표준오차", "how many answered, with the standard error"),
    "wording": ("질문 문구", "the wording"),
    "response": ("응답률", "the response rate"),
    "before": ("참여하기 전의 답", "what participants answered before they took part"),
    "scale": ("점수인지 비율인지", "whether it is a score or a share"),
}


def found(key: str, lang: str) -> str:
    """Return a finding or a declared verdict in words; one that is unknown stands for itself."""
    korean, english, _ = FOUND.get(key) or DECLARED.get(key) or (key, key, "unchecked")
    return korean if lang == "ko" else english
