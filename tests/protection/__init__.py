"""What nobody may find: adversaries who look for people in whatever the house keeps, says and sends."""
