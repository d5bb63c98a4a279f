"""The languages that Whisper lists, without loading transformers to ask."""

_CODES = """
en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr
bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn
yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su
yue
"""
WHISPER_LANGUAGES = frozenset(_CODES.split())
"""Codes as in `<|en|>`; `tests/whisper/test_languages.py` compares them with transformers."""

_PAIRS = """
af afr am amh ar ara as asm az aze ba bak be bel bg bul bn ben bo bod br bre bs bos ca cat cs ces cy
cym da dan de deu el ell en eng es spa et est eu eus fa fas fi fin fo fao fr fra gl glg gu guj ha
hau haw haw he heb hi hin hr hrv ht hat hu hun hy hye id ind is isl it ita ja jpn jw jav ka kat kk
kaz km khm kn kan ko kor ky kir la lat lb ltz ln lin lo lao lt lit lv lav mg mlg mi mri mk mkd ml
mal mn mon mr mar ms msa mt mlt my mya ne nep nl nld nn nno no nor oc oci pa pan pl pol ps pus pt
por ro ron ru rus sa san sd snd si sin sk slk sl slv sn sna so som sq sqi sr srp su sun sv swe sw
swa ta tam te tel tg tgk th tha tk tuk tl tgl tr tur tt tat uk ukr ur urd uz uzb vi vie yi yid yo
yor yue yue zh zho
"""
ISO_639_3 = dict(zip(_PAIRS.split()[::2], _PAIRS.split()[1::2], strict=True))
"""Codes of three letters, by Whisper's, and of Kyrgyz."""
