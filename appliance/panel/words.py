"""One table: what each state says in words, with which symbol, light and tone.

The rules of honesty (``docs``: contract 5) that this table keeps, and that ``tests/unit/panel/test_words.py`` holds:

* A state claims no more than its level: L0 "cannot read", L1 "card read", L2 "on the list, as of a date". A level's
  words stand in ``CLAIMS`` and nowhere else, and no state says that a card is genuine or that a person has a right.
* Green is for a visit that is recorded, red for a check that failed, amber for a check that could not be made.
  Everything else is dark: colour never speaks of the machine.
* A tone that means *stored* needs the sequence number of what was stored: see ``tone_of``.
* Nothing is said by colour alone: states of different lights have different symbols.

The second line may hold ``{as_of}``, ``{choice}``, ``{recorded}`` (the choice, or that it was recorded), ``{number}``
(to be written down) and ``{time}``; ``phrases.py`` fills them in.
"""

from dataclasses import dataclass
from enum import Enum

from appliance.panel.screens import Label, Screen, State


class Light(Enum):
    """The lights; at most one is lit."""

    NONE = "none"
    GREEN = "green"
    AMBER = "amber"
    RED = "red"


class Tone(Enum):
    """What the buzzer says."""

    SILENT = "silent"
    STORED = "stored"  # recorded, and every required check passed: one clear beep
    REFUSED = "refused"  # recorded, a check failed: two long and low
    ATTENTION = "attention"  # recorded, a check could not be made: three
    AGAIN = "again"  # recorded earlier, nothing new stored: two very short clicks
    DUTY = "duty"  # recorded: an officer begins or ends work: rising
    ERROR = "error"  # nothing was stored: falling


class Symbol(Enum):
    """The big sign on the left, told apart by shape."""

    TICK = "tick"
    TICK_IN_DISC = "tick_in_disc"
    CROSS = "cross"
    EXCLAMATION = "exclamation"
    CARD_IN = "card_in"
    CARD_OUT = "card_out"
    HOURGLASS = "hourglass"
    NO_READER = "no_reader"
    STOP = "stop"
    KEY = "key"
    BUTTONS = "buttons"
    TWO_CARDS = "two_cards"
    PERSON = "person"
    GEAR = "gear"


class Level(Enum):
    """What was truly done with the card (contract 5). NONE: the words are not about a card."""

    NONE = "none"
    L0 = "L0"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


@dataclass(frozen=True)
class Claim:
    """The only words in which a level may be claimed."""

    th: str
    en: str


@dataclass(frozen=True)
class Row:
    """What one state shows.

    Args:
        level: the level that the words may claim.
        th: two lines of Thai.
        en: two lines of English.
        symbol: the sign.
        light: the light.
        tone: the tone, where the event has been stored (see ``tone_of``).
        has_direction: whether the header tells the chosen direction beside the time.
    """

    level: Level
    th: tuple[str, str]
    en: tuple[str, str]
    symbol: Symbol
    light: Light = Light.NONE
    tone: Tone = Tone.SILENT
    has_direction: bool = False

    def lines(self, language: str) -> tuple[str, str]:
        """Return the two lines in ``language``, ``th`` or ``en``, not yet filled in."""
        return self.en if language == "en" else self.th


L0 = Claim("อ่านบัตรไม่ได้", "Cannot read")
L1 = Claim("อ่านบัตรได้", "Card read")
L2 = Claim("อยู่ในรายชื่อ", "On the list")
L3 = Claim("ทะเบียนตอบ: ปกติ", "Registry: normal")
CLAIMS = {Level.L0: L0, Level.L1: L1, Level.L2: L2, Level.L3: L3}

DIRECTIONS = (Label("in", "เข้า", "In"), Label("out", "ออก", "Out"))
ROLES = (Label("child", "เด็ก", "the child's"), Label("guardian", "ผู้ปกครอง", "the guardian's"))

ROWS: dict[State, Row] = {
    State.STARTING: Row(Level.NONE, ("กำลังเริ่ม", "รอสักครู่"), ("Starting", "Please wait"), Symbol.HOURGLASS),
    State.MENU: Row(Level.NONE, ("เมนู", "A ถัดไป|C ปิด"), ("Menu", "A Next|C Close"), Symbol.GEAR),
    State.IDLE: Row(Level.NONE, ("เสียบบัตร", "A เข้า|B ออก"), ("Insert card", "A In|B Out"), Symbol.CARD_IN),
    State.IDLE_UNANSWERED: Row(
        Level.NONE, ("เสียบบัตร", "ตรวจทะเบียนไม่ได้"), ("Insert card", "Registry is away"), Symbol.CARD_IN
    ),
    State.OFFICER_FIRST: Row(Level.NONE, ("เจ้าหน้าที่", "เสียบบัตรก่อน"), ("Officer", "Insert card first"), Symbol.CARD_IN),
    State.READING: Row(
        Level.NONE, ("กำลังอ่าน", "อย่าเพิ่งดึงบัตร"), ("Reading", "Leave the card"), Symbol.HOURGLASS, has_direction=True
    ),
    State.CHOOSE: Row(Level.NONE, ("เลือก", "A B C"), ("Choose", "A B C"), Symbol.BUTTONS),
    State.SECOND_CARD: Row(
        Level.NONE, ("เปลี่ยนบัตร", "เสียบบัตร{choice}"), ("Next card", "Insert {choice}"), Symbol.TWO_CARDS
    ),
    State.ASKING: Row(Level.NONE, ("กำลังถาม", "ทะเบียน รอสักครู่"), ("Asking", "the registry"), Symbol.HOURGLASS),
    State.ACCEPTED: Row(
        Level.L2,
        (L2.th, "ณ {as_of}"),
        (L2.en, "as of {as_of}"),
        Symbol.TICK,
        Light.GREEN,
        Tone.STORED,
        has_direction=True,
    ),
    State.RECORDED: Row(Level.L1, (L1.th, "{recorded}"), (L1.en, "{recorded}"), Symbol.TICK, Light.GREEN, Tone.STORED),
    State.REGISTRY_NORMAL: Row(
        Level.L3, ("ทะเบียนตอบ:", "ปกติ"), ("Registry:", "normal"), Symbol.TICK, Light.GREEN, Tone.STORED
    ),
    State.ALREADY_RECORDED: Row(
        Level.NONE,
        ("บันทึกแล้ว", "{choice} เมื่อ {time}"),
        ("Recorded", "{choice} at {time}"),
        Symbol.TICK_IN_DISC,
        Light.GREEN,
        Tone.AGAIN,
    ),
    State.NOT_ON_ROSTER: Row(
        Level.L1,
        (L1.th, "ไม่อยู่ในรายชื่อ"),
        (L1.en, "Not on the list"),
        Symbol.CROSS,
        Light.RED,
        Tone.REFUSED,
    ),
    State.EXPIRED: Row(
        Level.L1, (L1.th, "บัตรหมดอายุ"), (L1.en, "Card has expired"), Symbol.CROSS, Light.RED, Tone.REFUSED
    ),
    State.DATA_DISAGREE: Row(
        Level.L1, (L1.th, "ข้อมูลบัตรขัดกัน"), (L1.en, "Data disagree"), Symbol.CROSS, Light.RED, Tone.REFUSED
    ),
    State.CONDITIONS_NOT_MET: Row(
        Level.L1, (L1.th, "ไม่ตรงเงื่อนไข"), (L1.en, "Conditions not met"), Symbol.CROSS, Light.RED, Tone.REFUSED
    ),
    State.SAME_PERSON: Row(
        Level.L1, (L1.th, "ต้องเป็นคนละคน"), (L1.en, "Same person twice"), Symbol.CROSS, Light.RED, Tone.REFUSED
    ),
    State.ON_DENYLIST: Row(
        Level.L1, (L1.th, "อยู่ในรายการระงับ"), (L1.en, "On the stop list"), Symbol.CROSS, Light.RED, Tone.REFUSED
    ),
    State.REGISTRY_NOT_NORMAL: Row(
        Level.L1, (L1.th, "ทะเบียนตอบ: ไม่ปกติ"), (L1.en, "Registry: not normal"), Symbol.CROSS, Light.RED, Tone.REFUSED
    ),
    State.BAD_NUMBER: Row(
        Level.L0, (L0.th, "เลขบัตรไม่ถูกต้อง"), (L0.en, "Number is wrong"), Symbol.CROSS, Light.RED, Tone.REFUSED
    ),
    State.NOT_A_THAI_CARD: Row(
        Level.L0, (L0.th, "ไม่ใช่บัตรประชาชน"), (L0.en, "Not a Thai ID"), Symbol.CROSS, Light.RED, Tone.REFUSED
    ),
    State.COULD_NOT_CHECK: Row(
        Level.L1,
        (L1.th, "ตรวจได้ไม่ครบ"),
        (L1.en, "Not all checked"),
        Symbol.EXCLAMATION,
        Light.AMBER,
        Tone.ATTENTION,
    ),
    State.OUTCOME_UNKNOWN: Row(
        Level.L1, (L1.th, "ยังไม่ทราบผล"), (L1.en, "Result unknown"), Symbol.EXCLAMATION, Light.AMBER, Tone.ATTENTION
    ),
    State.CANCELLED: Row(
        Level.NONE, ("ยกเลิกแล้ว", "ไม่มีการบันทึกข้อมูล"), ("Cancelled", "No data kept"), Symbol.CARD_OUT, tone=Tone.AGAIN
    ),
    State.UNREADABLE: Row(
        Level.L0, (L0.th, "ลองใหม่"), (L0.en, "Try again"), Symbol.EXCLAMATION, Light.AMBER, Tone.ATTENTION
    ),
    State.SIGNED_ON: Row(
        Level.NONE,
        ("เริ่มงานแล้ว", "A เลิก|B รับรอง"),
        ("On duty", "A Off|B Vouch"),
        Symbol.PERSON,
        tone=Tone.DUTY,
    ),
    State.SIGNED_OFF: Row(
        Level.NONE, ("เลิกงานแล้ว", "ดึงบัตรออก"), ("Off duty", "Take it out"), Symbol.CARD_OUT, tone=Tone.DUTY
    ),
    State.VOUCHED: Row(
        Level.NONE,
        ("รับรองแล้ว", "เลขที่ {number}"),
        ("Vouched", "No. {number}"),
        Symbol.TICK,
        Light.GREEN,
        Tone.STORED,
    ),
    State.CAP_REACHED: Row(
        Level.NONE,
        ("รับรองครบแล้ว", "วันนี้เต็มจำนวน"),
        ("Not vouched", "Limit of today"),
        Symbol.CROSS,
        Light.RED,
        Tone.REFUSED,
    ),
    State.REMOVE_CARD: Row(Level.NONE, ("ดึงบัตรออก", "ขอบคุณ"), ("Remove card", "Thank you"), Symbol.CARD_OUT),
    State.NO_READER: Row(Level.NONE, ("ใช้งานไม่ได้", "ไม่พบเครื่องอ่าน"), ("Not ready", "No reader found"), Symbol.NO_READER),
    State.CANNOT_STORE: Row(
        Level.NONE,
        ("บันทึกไม่ได้", "แจ้งเจ้าหน้าที่"),
        ("Not stored", "Tell the staff"),
        Symbol.STOP,
        tone=Tone.ERROR,
    ),
    State.NOT_ENROLLED: Row(Level.NONE, ("ใช้งานไม่ได้", "ยังไม่ได้ลงทะเบียน"), ("Not ready", "Not enrolled yet"), Symbol.KEY),
    State.BAD_CONFIG: Row(Level.NONE, ("ใช้งานไม่ได้", "ตั้งค่าไม่ถูกต้อง"), ("Not ready", "Settings wrong"), Symbol.GEAR),
}

_NEEDS_REFERENCE = (Tone.STORED, Tone.REFUSED, Tone.ATTENTION, Tone.DUTY)


def row_of(state: State) -> Row:
    """Return the row of the table for ``state``."""
    return ROWS[state]


def light_of(screen: Screen) -> Light:
    """Return the light of ``screen``."""
    return ROWS[screen.state].light


def tone_of(screen: Screen) -> Tone:
    """Return the tone of ``screen``; a tone that means stored turns into ERROR where nothing was stored.

    A visit that is only repeated sounds as one that is already recorded: the stored tones sound once an event.
    """
    tone = ROWS[screen.state].tone
    if screen.is_repeated and screen.reference:
        return Tone.AGAIN
    return Tone.ERROR if tone in _NEEDS_REFERENCE and not screen.reference else tone
