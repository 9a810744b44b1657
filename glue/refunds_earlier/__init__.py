"""What earlier versions of the job recorded, read once and carried over; goes when no lake has it any more."""
