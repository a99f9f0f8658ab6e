"""Printed numbers held against computed ones, against each other and against published facts."""
