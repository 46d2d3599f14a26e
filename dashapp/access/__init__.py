"""Who may ask for what: sessions of people, keys of programs, and the headers that keep browsers careful."""
