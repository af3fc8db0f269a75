"""The values that all rooms share: `Event`, `Rejected`, errors, reasons, and JSON that is read and written unaltered.

Nothing here imports another room, Beam or a driver, or reads a clock. What belongs to one subject is in its room.
"""
