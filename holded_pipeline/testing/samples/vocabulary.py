"""The words in sample documents, in several alphabets."""

from __future__ import annotations

import random
from typing import NamedTuple


class Country(NamedTuple):
    """A country, with its currency, language, streets and cities."""

    code: str
    currency: str
    locale: str
    time_zone: str
    dial: str
    streets: tuple[str, ...]
    cities: tuple[str, ...]


COUNTRIES = (
    Country(
        "ES",
        "EUR",
        "es_ES",
        "Europe/Madrid",
        "+34",
        ("Carrer de Mallorca", "Calle Núñez de Balboa", "Rúa do Príncipe", "Paseo de la Castellana"),
        ("Barcelona", "Madrid", "A Coruña", "Donostia / San Sebastián", "Logroño"),
    ),
    Country(
        "FR", "EUR", "fr_FR", "Europe/Paris", "+33", ("Rue de l'Église", "Allée des Érables"), ("Paris", "Orléans")
    ),
    Country("DE", "EUR", "de_DE", "Europe/Berlin", "+49", ("Königstraße", "Schloßallee"), ("Köln", "München")),
    Country("GB", "GBP", "en_GB", "Europe/London", "+44", ("High Street", "Station Road"), ("London", "Leeds")),
    Country("US", "USD", "en_US", "America/New_York", "+1", ("Main Street", "Market Street"), ("Boston", "Austin")),
    Country("MX", "MXN", "es_MX", "America/Mexico_City", "+52", ("Avenida Juárez",), ("Ciudad de México", "Mérida")),
    Country("PL", "PLN", "pl_PL", "Europe/Warsaw", "+48", ("Ulica Łąkowa",), ("Łódź", "Kraków")),
    Country("GR", "EUR", "el_GR", "Europe/Athens", "+30", ("Οδός Ερμού",), ("Αθήνα", "Θεσσαλονίκη")),
    Country("JP", "JPY", "ja_JP", "Asia/Tokyo", "+81", ("中央通り",), ("東京", "大阪")),
    Country("BG", "EUR", "bg_BG", "Europe/Sofia", "+359", ("улица Раковски",), ("София", "Пловдив")),
)

_GIVEN = ("Núria", "José", "Zoë", "François", "Łukasz", "Jürgen", "Siobhán", "Ελένη", "Иван", "美咲", "Aitana", "Oriol")
_FAMILY = (
    "García",
    "Muñoz",
    "Puig i Soler",
    "Lefèvre",
    "Żak",
    "Groß",
    "O'Brien",
    "Παππάς",
    "Петров",
    "佐藤",
    "Etxeberria",
)

COMPANIES = (
    "Ferretería Ibáñez, S.L.",
    "Cal Peix 🐟",
    "Bäckerei Weiß GmbH",
    "L'Atelier d'Éloïse",
    "Hnos. Peña & Cía.",
    'Taller "El Rápido"',
    "Łódzkie Tkaniny sp. z o.o.",
    "Καφέ Ακρόπολις",
    "株式会社さくら",
    "North Quay Supplies Ltd",
    "Gestoría Núñez\\Asociados",
    "Кафе Роза",
)
CONCEPTS = (
    "Material de oficina",
    "Nómina de enero",
    "Café y comidas",
    "Suscripción anual",
    "Büromiete",
    "Frais de déplacement",
    "Main account",
    "Caja de la tienda",
    "Provisión de impuestos",
)
TAGS = ["marketing", "viajes", "I+D", "logística", "año-2026", "оборудване"]
PRODUCTS = (
    "Aceite de oliva 5 l",
    "Silla ergonómica «Ágora»",
    "Tornillo M4 x 20 mm",
    "Schreibtisch, höhenverstellbar",
    "Crème brûlée (caja de 12)",
    "抹茶 100 g",
    "Consulting, per hour",
)
NOTES = (
    "Entregar en el almacén, puerta 3.\nLlamar antes de las 14:00.",
    "Paiement à 30 jours fin de mois",
    "Gràcies per la vostra confiança!",
    "Liefertermin nach Absprache — bitte anrufen",
    "Reference on every transfer, please. Tab\there, \u201cquotes\u201d there.",
    "",
)
FAILURES = ("Saldo insuficiente", "Tarjeta caducada", "The issuer declined the charge", "Délai dépassé")
MAIL_DOMAINS = ("example.com", "example.org", "mail.example.net", "correo.example.com")


def person(rng: random.Random) -> str:
    """A random given name and family name, so that it is nobody's."""
    return f"{rng.choice(_GIVEN)} {rng.choice(_FAMILY)}"
