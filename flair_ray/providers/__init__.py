"""Language models behind one port, one module each; they do not know one another, ``wiring`` picks one."""
