"""What nobody may find: adversaries who ask, compare and look through whatever the house keeps, says and sends."""
