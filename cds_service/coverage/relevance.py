"""Which words make a code that we do not read look like one that we should: words of the knowledge's own facts and codes.

A word finds candidates and proves nothing: direct bilirubin is no total bilirubin. Who maps a code decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from cds_service.knowledge.model import Knowledge

GENERAL = frozenset(
    """
    abnormality about abscess absence access acquired active activity acute adenoma adjacent after aggregate alcoholic
    alive allogeneic also among amount ampulla antibodies antibody anticoagulants antineoplastic approach artery
    ascending assay assessment associated associating atypical automated average background bacterial been before beyond
    bile blacks blood board body both bowel bronchial bronchus bypass calculated calculus cancer cannot carcinoma
    carrier category cecum cell cells chemical child chronic circulating class classification classified clinical close
    clotting code coded coma complete computed condition congenital containing controlled correctable corrected cortical
    count counts crisis days defect defects deficiency dependence deprecated descending destruction device diagnosis
    diagnostic digestive dimension direct disease diseases disorder disorders display disseminated distant done drug
    duct duodenal during elsewhere encounter endocrine endoscopic entity enzymatic epithelial estimated evans event exam
    except excision extended extent extreme extrinsic factor factors failure fibrosis filtration finding first focused
    following form fraction from function functional functioning future gastric general gestational given gland
    glomerular grade group grouping guidance heart hemorrhagic hereditary high history hour hours implants incidental
    incurred index industry infection inhibitors injection insertion insufficiency intact intensity intestinal intestine
    into intraluminal intravascular intravenous intrinsic introduction involved involvement judged judgement kidney kind
    laparoscopic large largest last later left less level ligation like lobe lobectomy lobes local loinc long lymph main
    malignant many mass maximum measured medullary memory method microwave milligram mixed moles months morphologic
    morphology multiple name natural necrosis neoplasia neoplasm neoplasms neoplastic node nodes note nuclear number
    observable observation occlusion oncologist only open operation oral organs origin other others outside pancreatic
    papilla part partial partition parts pathologic pathology patient pattern peptide percent percutaneous performance
    peripheral personal physical pilot plasma poor poorly population portion positive postprocedural posttransfusion
    predicted presence present previous primary procedure producing product progression prosthesis pulmonary rate ratio
    recent receptor recipient recorded rectal region regional regurgitation related relative removable removal remove
    replaced reported response restriction result retrograde right risk sample score secondary secreting section segment
    serum session severe share sigmoid sign since single site sites situation size small solution source specified
    specimen spontaneous stable stage staged staging state status stenosis structure study subacute substance sufficient
    supervision surgery surgical suspected symptoms syndrome system tablet taken terminal terms test that therapeutic
    therapy thermal this threatens time times timing tomography total toxic tract transverse treatment tree trimester
    truncated tubal tubular tumor tumors tumour type ultrasonography ultrasound uncertain units unknown unspecified upon
    urine using value valve vascular vasoactive vein visit vitamin volume wedge well with within without years yes
    """.split()
)
"""Words that half of a terminology carries, and organs that are no finding; alone they point to nothing of ours."""
SHORTEST, STEM = 4, 6
"""Letters a word needs to count, and to count as the beginning of a longer one (bilirubin: Bilirubingesamt)."""
LOINC_AXES = re.compile(r" \[| in | by | of | from |/")
"""A LOINC name is component [property] in system by method; the component alone says what is measured."""
DIAGNOSIS = ("cond.net", "cond.liver_mets", "cond.carcinoid", "morph.")
"""Concepts of the gate, which no one fact stands for."""
THE_DIAGNOSIS = "the diagnosis"


def words_in(text: str) -> set[str]:
    """Words in lower case, and letters with the digits beside them as one: Ki-67, Ki 67 and KI67 are the same."""
    parts = re.findall(r"[^\W_\d]+|\d+", text.casefold())
    return {*parts, *(a + b for a, b in zip(parts, parts[1:], strict=False))}


class Relevance:
    """Built once for one body of knowledge."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._words: dict[str, dict[str, frozenset[str]]] = {}
        displays: dict[str, list[str]] = {}
        for system, meaning in knowledge.terminology.all_rows():
            if meaning.use.startswith(("decides", "question", "possible")):
                name = LOINC_AXES.split(meaning.display)[0] if system == "loinc" else meaning.display
                displays.setdefault(meaning.concept, []).append(name)
        organs = set().union(*(words_in(site) for site in knowledge.facts["primary_site"].options))
        for definition in knowledge.facts.values():
            texts = [definition.says, *definition.assessment, *definition.names]
            if definition.source != "Observation":
                texts = [*definition.names]
            for concept in definition.concepts:
                texts += [*displays.get(concept, ()), concept.split(".", 1)[1].replace("_", " ")]
            if definition.kind != "person":
                self._add(definition.source, definition.id, texts, organs)
        for concept, names in displays.items():
            if concept.startswith(DIAGNOSIS):
                self._add("Condition", THE_DIAGNOSIS, names, organs)
        self.look = lru_cache(maxsize=20_000)(self._look)

    def _add(self, source: str, fact: str, texts: Iterable[str], organs: set[str]) -> None:
        words = self._words.setdefault(source, {})
        for text in texts:
            for word in _telling(text) - organs:
                words[word] = words.get(word, frozenset()) | {fact}

    def _look(self, source: str, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Words of ours in a text, and the facts they point to, the likeliest first. `source`: as in facts.toml."""
        points: dict[str, int] = {}
        found: set[str] = set()
        words = self._words.get(source, {})
        for said in words_in(text):
            for word in {said, *(said[:end] for end in range(STEM, len(said)))}:
                if facts := words.get(word):
                    found.add(word)
                    for fact in facts:
                        points[fact] = points.get(fact, 0) + 1
        return tuple(sorted(found)), tuple(sorted(points, key=lambda fact: (-points[fact], fact)))


def _telling(text: str) -> set[str]:
    """The words of a name of ours that point to it: long ones that are not general, and Ki-67, 5-HIAA, Lu-177."""
    bound = {found.replace("-", "") for found in re.findall(r"\b(?:[^\W\d_]+-\d+|\d-[^\W\d_]+)\b", text.casefold())}
    plain = {part for part in re.findall(r"[^\W_\d]+", text.casefold()) if len(part) >= SHORTEST}
    return {word for word in bound if len(word) >= SHORTEST} | (plain - GENERAL)
