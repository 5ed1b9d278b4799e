-- Hear what a doctor announces to itself, to see whether anything is heard. Served by no index.
LISTEN farm_doctor
