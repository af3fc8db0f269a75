"""What everything speaks of: `Event`, `Rejected`, errors, reasons, and JSON in and out without altering a value.

Nothing here imports another room, Beam, a driver or a clock; what belongs to one subject alone lives in that
subject's room.
"""
