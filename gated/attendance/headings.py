"""The headings of tables for people, with their units, in the languages of the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

Language = Literal["en", "de", "fr", "es", "fa", "ar"]

LANGUAGES: tuple[Language, ...] = ("en", "de", "fr", "es", "fa", "ar")

HEADINGS: Mapping[str, Sequence[str]] = {
    "month": ("Month", "Monat", "Mois", "Mes", "ماه", "الشهر"),
    "date": ("Date", "Datum", "Date", "Fecha", "تاریخ", "التاريخ"),
    "personnel_code": (
        "Personnel code", "Personalnummer", "Matricule", "Código de personal", "کد پرسنلی",
        "الرقم الوظيفي",
    ),
    "last_name": ("Last name", "Nachname", "Nom", "Apellidos", "نام خانوادگی", "اسم العائلة"),
    "first_name": ("First name", "Vorname", "Prénom", "Nombre", "نام", "الاسم الأول"),
    "department": ("Department", "Abteilung", "Service", "Departamento", "بخش", "القسم"),
    "group": (
        "Group of the plan", "Gruppe der Sollzeit", "Groupe du plan", "Grupo del plan",
        "گروه برنامه", "مجموعة الخطة",
    ),
    "worked": (
        "Worked (h)", "Ist (Std.)", "Travaillé (h)", "Trabajado (h)", "کارکرد (ساعت)",
        "ساعات العمل (س)",
    ),
    "planned": (
        "Planned (h)", "Soll (Std.)", "Prévu (h)", "Previsto (h)", "برنامه (ساعت)",
        "المخطط (س)",
    ),
    "balance": (
        "Balance (h)", "Saldo (Std.)", "Solde (h)", "Saldo (h)", "مانده (ساعت)", "الرصيد (س)",
    ),
    "breaks": (
        "Breaks (h)", "Pausen (Std.)", "Pauses (h)", "Pausas (h)", "استراحت (ساعت)",
        "الاستراحات (س)",
    ),
    "days": (
        "Days present", "Anwesend (Tage)", "Jours présents", "Días presentes", "روزهای حضور",
        "أيام الحضور",
    ),
    "visits": ("Visits", "Aufenthalte", "Visites", "Estancias", "حضورها", "الزيارات"),
    "open_visits": (
        "Open visits (not counted)", "Offene Aufenthalte (nicht gezählt)",
        "Visites ouvertes (non comptées)", "Estancias abiertas (no contadas)",
        "حضور باز (شمرده نشده)", "زيارات مفتوحة (غير محسوبة)",
    ),
    "corrections": (
        "Corrected passages", "Korrigierte Durchgänge", "Passages corrigés",
        "Pasos corregidos", "گذرهای اصلاح‌شده", "مرورات مصححة",
    ),
    "first_in": (
        "First in (local time)", "Erstes Kommen (Ortszeit)", "Première entrée (heure locale)",
        "Primera entrada (hora local)", "نخستین ورود (وقت محلی)", "أول دخول (التوقيت المحلي)",
    ),
    "first_in_offset": (
        "Offset of first in", "Zeitzone Kommen", "Décalage entrée", "Desfase entrada",
        "اختلاف ساعت ورود", "فرق توقيت الدخول",
    ),
    "last_out": (
        "Last out (local time)", "Letztes Gehen (Ortszeit)", "Dernière sortie (heure locale)",
        "Última salida (hora local)", "آخرین خروج (وقت محلی)", "آخر خروج (التوقيت المحلي)",
    ),
    "last_out_offset": (
        "Offset of last out", "Zeitzone Gehen", "Décalage sortie", "Desfase salida",
        "اختلاف ساعت خروج", "فرق توقيت الخروج",
    ),
    "flags": ("Notes", "Hinweise", "Remarques", "Notas", "یادداشت", "ملاحظات"),
}  # fmt: skip
"""Name of a column -> its heading in the order of LANGUAGES."""


def headings(columns: Sequence[str], language: Language) -> tuple[str, ...]:
    """Return the headings of columns in a language."""
    at = LANGUAGES.index(language)
    return tuple(HEADINGS[name][at] for name in columns)
