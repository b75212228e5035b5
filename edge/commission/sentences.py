"""The sentences of commissioning in the four languages: what is wrong with a device, and the next action."""

from collections.abc import Mapping
from typing import Final

from edge.words import Sentence

# German in Swiss spelling, French, Italian, English, as in `admission.reasons.Language`. {names} are filled from what is told with the code.
SENTENCES: Final[Mapping[str, tuple[Sentence, Sentence, Sentence, Sentence]]] = {
    "thief.modem_manager": (
        Sentence(
            "{what}: ModemManager sucht hier ein Modem und stört dabei.",
            "Die udev-Regeln einspielen: sudo systemd/install.sh edge. Bleibt es dabei, fehlt dort {vendor}.",
        ),
        Sentence(
            "{what} : ModemManager y cherche un modem et perturbe la liaison.",
            "Installer les règles udev : sudo systemd/install.sh edge. Si cela reste, {vendor} y manque.",
        ),
        Sentence(
            "{what}: ModemManager vi cerca un modem e disturba il collegamento.",
            "Installare le regole udev: sudo systemd/install.sh edge. Se rimane, lì manca {vendor}.",
        ),
        Sentence(
            "{what}: ModemManager looks for a modem here, and disturbs it.",
            "Install the udev rules: sudo systemd/install.sh edge. If it stays, {vendor} is missing there.",
        ),
    ),
    "thief.pn533": (
        Sentence(
            "{what}: der Kernel hat den Tag-Leser für sich (pn533_usb).",
            "sudo systemd/install.sh edge verbietet den Treiber; dann den Leser neu einstecken.",
        ),
        Sentence(
            "{what} : le noyau garde le lecteur de tags pour lui (pn533_usb).",
            "sudo systemd/install.sh edge interdit ce pilote ; rebrancher ensuite le lecteur.",
        ),
        Sentence(
            "{what}: il kernel tiene il lettore di tag per sé (pn533_usb).",
            "sudo systemd/install.sh edge vieta quel driver; poi ricollegare il lettore.",
        ),
        Sentence(
            "{what}: the kernel keeps the tag reader to itself (pn533_usb).",
            "sudo systemd/install.sh edge forbids that driver; then plug the reader in again.",
        ),
    ),
    "thief.autosuspend": (
        Sentence(
            "{what}: der Kernel darf das Gerät schlafen legen, und Scanner wachen schlecht auf.",
            "Die udev-Regeln einspielen: sudo systemd/install.sh edge. TLP und powertop entfernen.",
        ),
        Sentence(
            "{what} : le noyau peut mettre l'appareil en veille, et un scanner se réveille mal.",
            "Installer les règles udev : sudo systemd/install.sh edge. Enlever TLP et powertop.",
        ),
        Sentence(
            "{what}: il kernel può sospendere il dispositivo, e uno scanner si risveglia male.",
            "Installare le regole udev: sudo systemd/install.sh edge. Togliere TLP e powertop.",
        ),
        Sentence(
            "{what}: the kernel may put it to sleep, and scanners wake up badly.",
            "Install the udev rules: sudo systemd/install.sh edge. Remove TLP and powertop.",
        ),
    ),
    "thief.usbhid": (
        Sentence(
            "{what}: ein anderes Programm hat das Gerät dem Kernel weggenommen (usbfs).",
            "Das Programm des Herstellers beenden oder entfernen; dann neu einstecken.",
        ),
        Sentence(
            "{what} : un autre programme a pris l'appareil au noyau (usbfs).",
            "Arrêter ou enlever le programme du fabricant ; puis rebrancher l'appareil.",
        ),
        Sentence(
            "{what}: un altro programma ha tolto il dispositivo al kernel (usbfs).",
            "Chiudere o togliere il programma del produttore; poi ricollegare il dispositivo.",
        ),
        Sentence(
            "{what}: another program took the device from the kernel (usbfs).",
            "End or remove the maker's program; then plug the device in again.",
        ),
    ),
    "mode.keyboard": (
        Sentence(
            "{what} schreibt wie eine Tastatur. Das geht, hängt aber am Tastaturland.",
            "Besser ist USB seriell: den Programmiercode dafür scannen.",
        ),
        Sentence(
            "{what} écrit comme un clavier. Cela marche, mais dépend du pays du clavier.",
            "Mieux vaut l'USB série : scanner le code de programmation correspondant.",
        ),
        Sentence(
            "{what} scrive come una tastiera. Funziona, ma dipende dal paese della tastiera.",
            "Meglio l'USB seriale: scansionare il relativo codice di programmazione.",
        ),
        Sentence(
            "{what} types like a keyboard. It works, but depends on the keyboard's country.",
            "USB serial is better: scan its programming code.",
        ),
    ),
    "mode.snapi": (
        Sentence(
            "{what} spricht SNAPI, das kein Tor versteht.", "Den Programmiercode für USB seriell scannen."
        ),
        Sentence(
            "{what} parle SNAPI, qu'aucune porte ne lit.",
            "Scanner le code de programmation pour l'USB série.",
        ),
        Sentence(
            "{what} parla SNAPI, che nessun varco legge.",
            "Scansionare il codice di programmazione per l'USB seriale.",
        ),
        Sentence("{what} speaks SNAPI, which no gate reads.", "Scan the programming code for USB serial."),
    ),
    "mode.ibm": (
        Sentence(
            "{what} spricht IBM (auch «USB OPOS»), das kein Tor versteht.",
            "Den Programmiercode für USB seriell scannen.",
        ),
        Sentence(
            "{what} parle IBM (appelé aussi « USB OPOS »), qu'aucune porte ne lit.",
            "Scanner le code de programmation pour l'USB série.",
        ),
        Sentence(
            "{what} parla IBM (detto anche «USB OPOS»), che nessun varco legge.",
            "Scansionare il codice di programmazione per l'USB seriale.",
        ),
        Sentence(
            "{what} speaks IBM (also called “USB OPOS”), which no gate reads.",
            "Scan the programming code for USB serial.",
        ),
    ),
    "mode.com_hid": (
        Sentence(
            "{what} ahmt eine Schnittstelle nur nach («Simple COM Port Emulation»): unter Linux ist es keine.",
            "Den Programmiercode für USB seriell scannen.",
        ),
        Sentence(
            "{what} ne fait qu'imiter un port (« Simple COM Port Emulation ») : sous Linux, ce n'en est pas un.",
            "Scanner le code de programmation pour l'USB série.",
        ),
        Sentence(
            "{what} imita soltanto una porta («Simple COM Port Emulation»): sotto Linux non lo è.",
            "Scansionare il codice di programmazione per l'USB seriale.",
        ),
        Sentence(
            "{what} only imitates a port (“Simple COM Port Emulation”): on Linux it is none.",
            "Scan the programming code for USB serial.",
        ),
    ),
    "pcsc.missing": (
        Sentence(
            "{what} wird über den PC/SC-Dienst gelesen, der hier nicht läuft.",
            "Einrichten: apt install pcscd libccid. Ist er da: systemctl start pcscd.socket",
        ),
        Sentence(
            "{what} se lit par le service PC/SC, qui ne tourne pas ici.",
            "L'installer : apt install pcscd libccid. S'il est là : systemctl start pcscd.socket",
        ),
        Sentence(
            "{what} si legge tramite il servizio PC/SC, che qui non è in funzione.",
            "Installarlo: apt install pcscd libccid. Se c'è già: systemctl start pcscd.socket",
        ),
        Sentence(
            "{what} is read through the PC/SC service, which does not run here.",
            "Install it: apt install pcscd libccid. If it is there: systemctl start pcscd.socket",
        ),
    ),
    "pcsc.no_driver": (
        Sentence(
            "{what}: dem PC/SC-Dienst fehlt der Treiber für solche Leser.",
            "Einspielen: apt install libccid; dann den Leser neu einstecken.",
        ),
        Sentence(
            "{what} : il manque au service PC/SC le pilote de ces lecteurs.",
            "L'installer : apt install libccid ; rebrancher ensuite le lecteur.",
        ),
        Sentence(
            "{what}: al servizio PC/SC manca il driver per questi lettori.",
            "Installarlo: apt install libccid; poi ricollegare il lettore.",
        ),
        Sentence(
            "{what}: the PC/SC service lacks the driver for such readers.",
            "Install it: apt install libccid; then plug the reader in again.",
        ),
    ),
    "pcsc.forbidden": (
        Sentence(
            "{what}: polkit lässt das Tor nicht an den PC/SC-Dienst.",
            "Die Regel dafür einspielen: sudo systemd/install.sh edge",
        ),
        Sentence(
            "{what} : polkit refuse à la porte le service PC/SC.",
            "Installer la règle : sudo systemd/install.sh edge",
        ),
        Sentence(
            "{what}: polkit non lascia usare al varco il servizio PC/SC.",
            "Installare la regola: sudo systemd/install.sh edge",
        ),
        Sentence(
            "{what}: polkit keeps the gate from the PC/SC service.",
            "Install the rule for it: sudo systemd/install.sh edge",
        ),
    ),
    "pcsc.twins": (
        Sentence(
            "{what}: zwei gleiche Leser ohne Seriennummer kann der PC/SC-Dienst nicht unterscheiden.",
            "Für die zweite Stelle ein anderes Modell nehmen, oder eines mit Seriennummer.",
        ),
        Sentence(
            "{what} : le service PC/SC ne distingue pas deux lecteurs identiques sans numéro de série.",
            "Prendre un autre modèle pour la seconde place, ou un qui a un numéro de série.",
        ),
        Sentence(
            "{what}: il servizio PC/SC non distingue due lettori uguali senza numero di serie.",
            "Per il secondo posto prendere un altro modello, o uno con numero di serie.",
        ),
        Sentence(
            "{what}: the PC/SC service cannot tell two alike apart that have no serial number.",
            "Take another model for the second place, or one that has a serial number.",
        ),
    ),
    "mode.none": (
        Sentence(
            "{what} ist eingesteckt und zeigt keinen Weg, es zu lesen.",
            "Neu einstecken. Bleibt es so, den Programmiercode für USB seriell scannen.",
        ),
        Sentence(
            "{what} est branché, mais rien ne permet de le lire.",
            "Le rebrancher. Si cela reste, scanner le code de programmation pour l'USB série.",
        ),
        Sentence(
            "{what} è collegato, ma non c'è modo di leggerlo.",
            "Ricollegarlo. Se rimane così, scansionare il codice di programmazione per l'USB seriale.",
        ),
        Sentence(
            "{what} is plugged in and shows no way to read it.",
            "Plug it in again. If it stays so, scan the programming code for USB serial.",
        ),
    ),
    "osdp.silent": (
        Sentence(
            "Hier antwortet kein OSDP-Leser: {what}",
            "Speisung des Lesers prüfen, und die Adern: A an A, B an B; nennt der Hersteller sie umgekehrt, die beiden tauschen. 120 Ω am fernen Ende. Dann nochmals suchen.",
        ),
        Sentence(
            "Aucun lecteur OSDP ne répond ici : {what}",
            "Vérifier l'alimentation du lecteur et les fils : A sur A, B sur B ; si le fabricant les nomme à l'envers, les échanger. 120 Ω au bout. Puis chercher encore.",
        ),
        Sentence(
            "Qui non risponde nessun lettore OSDP: {what}",
            "Controllare l'alimentazione del lettore e i fili: A con A, B con B; se il produttore li chiama al contrario, scambiarli. 120 Ω in fondo. Poi cercare ancora.",
        ),
        Sentence(
            "No OSDP reader answers here: {what}",
            "Check the reader's power, and the wires: A to A, B to B; where its maker names them the other way, swap the two. 120 Ω at the far end. Then search again.",
        ),
    ),
    "osdp.talks": (
        Sentence(
            "Hier spricht etwas von selbst, was kein OSDP-Leser tut; gefragt wurde nichts: {what}",
            "Scanner und andere Steuerungen von diesem Kabel nehmen, dann nochmals suchen.",
        ),
        Sentence(
            "Quelque chose parle ici de lui-même, ce que ne fait aucun lecteur OSDP ; rien n'a été demandé : {what}",
            "Enlever de ce câble les scanners et les autres contrôleurs, puis chercher encore.",
        ),
        Sentence(
            "Qui qualcosa parla da solo, cosa che nessun lettore OSDP fa; non è stato chiesto niente: {what}",
            "Togliere da questo cavo gli scanner e gli altri controllori, poi cercare ancora.",
        ),
        Sentence(
            "Something talks here by itself, which no OSDP reader does; nothing was asked: {what}",
            "Take scanners and other controllers off this cable, then search again.",
        ),
    ),
    "osdp.unclear": (
        Sentence(
            "Was hier antwortet, ist nicht zu verstehen: {what}",
            "120 Ω an beiden Enden, Masse verbinden, A an A; schauen, ob noch eine Steuerung am Bus hängt. Dann nochmals suchen.",
        ),
        Sentence(
            "Ce qui répond ici est incompréhensible : {what}",
            "120 Ω aux deux bouts, relier les masses, A sur A ; voir si un autre contrôleur est sur le bus. Puis chercher encore.",
        ),
        Sentence(
            "Ciò che risponde qui non si capisce: {what}",
            "120 Ω ai due capi, collegare le masse, A con A; vedere se c'è un altro controllore sul bus. Poi cercare ancora.",
        ),
        Sentence(
            "What answers here cannot be understood: {what}",
            "120 Ω at both ends, connect the grounds, A to A; see whether another controller is on the bus. Then search again.",
        ),
    ),
    "osdp.twins": (
        Sentence(
            "An dieser Adresse antworten mehrere OSDP-Leser zugleich, oder etwas stört: {what}",
            "Jeden einzeln anschliessen und ihm mit dem Werkzeug seines Herstellers eine eigene Adresse geben; dann nochmals suchen.",
        ),
        Sentence(
            "À cette adresse, plusieurs lecteurs OSDP répondent à la fois, ou quelque chose perturbe : {what}",
            "Raccorder chacun seul et lui donner une adresse à lui avec l'outil de son fabricant ; puis chercher encore.",
        ),
        Sentence(
            "A questo indirizzo rispondono insieme più lettori OSDP, o qualcosa disturba: {what}",
            "Collegarli uno alla volta e dare a ciascuno un indirizzo suo con lo strumento del produttore; poi cercare ancora.",
        ),
        Sentence(
            "At this address several OSDP readers answer at once, or something disturbs: {what}",
            "Connect each alone and give it an address of its own with its maker's tool; then search again.",
        ),
    ),
    "osdp.many": (
        Sentence(
            "Mehr als 16 OSDP-Leser an einem Bus: diese werden nicht benutzt: {what}",
            "Sie an einen eigenen Adapter hängen.",
        ),
        Sentence(
            "Plus de 16 lecteurs OSDP sur un bus : ceux-ci ne servent pas : {what}",
            "Les mettre sur un adaptateur à eux.",
        ),
        Sentence(
            "Più di 16 lettori OSDP su un bus: questi non si usano: {what}",
            "Metterli su un adattatore a parte.",
        ),
        Sentence(
            "More than 16 OSDP readers on one bus: these are not used: {what}",
            "Give them an adapter of their own.",
        ),
    ),
    "osdp.new": (
        Sentence(
            "Dieser Leser ist neu: er hat nur den Schlüssel, den alle kennen, und wird damit nicht gelesen.",
            "Ihm einen eigenen Schlüssel geben, dann eine Karte hinhalten wie bei jedem Leser.",
        ),
        Sentence(
            "Ce lecteur est neuf : il n'a que la clé connue de tous, et n'est pas lu avec elle.",
            "Lui donner sa propre clé, puis lui présenter une carte comme à tout lecteur.",
        ),
        Sentence(
            "Questo lettore è nuovo: ha solo la chiave che tutti conoscono, e con quella non viene letto.",
            "Dargli una chiave propria, poi avvicinare una carta come a ogni lettore.",
        ),
        Sentence(
            "This reader is new: it has only the key that everybody knows, and is not read by that.",
            "Give it a key of its own, then hold a card to it as to any reader.",
        ),
    ),
    "osdp.other": (
        Sentence(
            "Dieser Leser hat einen fremden Schlüssel, oder er ist nicht im Installationsmodus.",
            "Mit dem Werkzeug seines Herstellers zurücksetzen oder in den Installationsmodus bringen; dann nochmals suchen.",
        ),
        Sentence(
            "Ce lecteur a la clé de quelqu'un d'autre, ou n'est pas en mode d'installation.",
            "Le remettre à zéro avec l'outil de son fabricant, ou en mode d'installation ; puis chercher encore.",
        ),
        Sentence(
            "Questo lettore ha la chiave di qualcun altro, o non è in modalità d'installazione.",
            "Azzerarlo con lo strumento del produttore, o metterlo in modalità d'installazione; poi cercare ancora.",
        ),
        Sentence(
            "This reader has somebody else's key, or is not in install mode.",
            "Reset it with its maker's tool, or put it into install mode; then search again.",
        ),
    ),
    "osdp.not_read": (
        Sentence(
            "Dieser Leser lässt sich nicht lesen: {what}",
            "Gelesen werden nur Leser mit OSDP v2 und sicherem Kanal. Kann er das, nach Störungen am Bus und an der Speisung sehen, dann nochmals suchen.",
        ),
        Sentence(
            "Ce lecteur ne peut pas être lu : {what}",
            "Seuls les lecteurs OSDP v2 à canal sûr sont lus. S'il en a un, chercher ce qui perturbe le bus ou l'alimentation, puis chercher encore.",
        ),
        Sentence(
            "Questo lettore non si può leggere: {what}",
            "Si leggono solo lettori OSDP v2 con canale sicuro. Se ce l'ha, vedere che cosa disturba il bus o l'alimentazione, poi cercare ancora.",
        ),
        Sentence(
            "This reader cannot be read: {what}",
            "Only readers of OSDP v2 with a secure channel are read. If it has one, look for what disturbs the bus or its power, then search again.",
        ),
    ),
    "bus.gone": (
        Sentence(
            "Der Anschluss ist weg, oder ein anderes Programm hat ihn: {what}",
            "Den Adapter einstecken, das andere Programm beenden; dann nochmals suchen.",
        ),
        Sentence(
            "Le port a disparu, ou un autre programme l'a pris : {what}",
            "Brancher l'adaptateur, arrêter l'autre programme ; puis chercher encore.",
        ),
        Sentence(
            "La porta è sparita, o l'ha presa un altro programma: {what}",
            "Collegare l'adattatore, chiudere l'altro programma; poi cercare ancora.",
        ),
        Sentence(
            "The port is gone, or another program has it: {what}",
            "Plug the adapter in, end the other program; then search again.",
        ),
    ),
    "bus.failed": (
        Sentence("Die Suche ging nicht: {what}", "{hint} Dann nochmals suchen."),
        Sentence("La recherche a échoué : {what}", "{hint} Puis chercher encore."),
        Sentence("La ricerca non è riuscita: {what}", "{hint} Poi cercare ancora."),
        Sentence("The search failed: {what}", "{hint} Then search again."),
    ),
    "osdp.key_silent": (
        Sentence(
            "Der Leser antwortet nicht mehr: {what}",
            "Adern und Speisung prüfen, dann nochmals drücken: es geht dort weiter, wo es abbrach.",
        ),
        Sentence(
            "Le lecteur ne répond plus : {what}",
            "Vérifier les fils et l'alimentation, puis presser encore : cela reprend où c'était.",
        ),
        Sentence(
            "Il lettore non risponde più: {what}",
            "Controllare i fili e l'alimentazione, poi premere ancora: riprende da dove era rimasto.",
        ),
        Sentence(
            "The reader answers no more: {what}",
            "Check wires and power, then press again: it goes on where it was cut off.",
        ),
    ),
    "osdp.key_refused": (
        Sentence(
            "Der Leser nimmt keinen Schlüssel an: {what}",
            "Mit dem Werkzeug seines Herstellers zurücksetzen oder in den Installationsmodus bringen, dann nochmals drücken.",
        ),
        Sentence(
            "Le lecteur n'accepte pas de clé : {what}",
            "Le remettre à zéro avec l'outil de son fabricant, ou en mode d'installation, puis presser encore.",
        ),
        Sentence(
            "Il lettore non accetta chiavi: {what}",
            "Azzerarlo con lo strumento del produttore, o metterlo in modalità d'installazione, poi premere ancora.",
        ),
        Sentence(
            "The reader takes no key: {what}",
            "Reset it with its maker's tool, or put it into install mode, then press again.",
        ),
    ),
    "osdp.key_not_kept": (
        Sentence(
            "Der Schlüssel lässt sich nicht aufbewahren: {what}",
            "Platz auf der Karte der Box schaffen, dann nochmals drücken. Der Leser hat seinen Schlüssel noch.",
        ),
        Sentence(
            "La clé ne peut pas être gardée : {what}",
            "Faire de la place sur la carte du boîtier, puis presser encore. Le lecteur a toujours sa clé.",
        ),
        Sentence(
            "La chiave non si può conservare: {what}",
            "Fare spazio sulla scheda del box, poi premere ancora. Il lettore ha ancora la sua chiave.",
        ),
        Sentence(
            "The key cannot be kept: {what}",
            "Make room on the box's card, then press again. The reader still has the key that it had.",
        ),
    ),
    "osdp.no_bus": (
        Sentence(
            "Hier kann kein Bus mit OSDP-Lesern sein.",
            "Einen seriellen Adapter wählen, der nichts anderes ist.",
        ),
        Sentence(
            "Il ne peut y avoir de bus OSDP ici.", "Choisir un adaptateur série qui n'est rien d'autre."
        ),
        Sentence("Qui non può esserci un bus OSDP.", "Scegliere un adattatore seriale che non è altro."),
        Sentence("No OSDP bus can be here.", "Choose a serial adapter that is nothing else."),
    ),
    "osdp.no_reader": (
        Sentence(
            "Diesem Leser kann jetzt kein Schlüssel gegeben werden.",
            "Warten, bis die Suche fertig ist; sonst nochmals suchen.",
        ),
        Sentence(
            "Ce lecteur ne peut pas recevoir de clé maintenant.",
            "Attendre la fin de la recherche ; sinon chercher encore.",
        ),
        Sentence(
            "A questo lettore adesso non si può dare una chiave.",
            "Aspettare la fine della ricerca; altrimenti cercare ancora.",
        ),
        Sentence("This reader can be given no key now.", "Wait until the search is done; else search again."),
    ),
    "modbus.silent": (
        Sentence(
            "Hier antwortet keine Modbus-Platine: {what}",
            "Speisung der Platine prüfen, A an A, B an B (sonst die beiden tauschen), 120 Ω am fernen Ende. Dann nochmals suchen.",
        ),
        Sentence(
            "Aucune carte Modbus ne répond ici : {what}",
            "Vérifier l'alimentation de la carte, A sur A, B sur B (sinon les échanger), 120 Ω au bout. Puis chercher encore.",
        ),
        Sentence(
            "Qui non risponde nessuna scheda Modbus: {what}",
            "Controllare l'alimentazione della scheda, A con A, B con B (altrimenti scambiarli), 120 Ω in fondo. Poi cercare ancora.",
        ),
        Sentence(
            "No Modbus board answers here: {what}",
            "Check the board's power, A to A, B to B (else swap the two), 120 Ω at the far end. Then search again.",
        ),
    ),
    "modbus.talks": (
        Sentence(
            "Hier spricht etwas von selbst, was keine Modbus-Platine tut; gefragt wurde nichts: {what}",
            "Scanner und andere Steuerungen von diesem Kabel nehmen, dann nochmals suchen.",
        ),
        Sentence(
            "Quelque chose parle ici de lui-même, ce que ne fait aucune carte Modbus ; rien n'a été demandé : {what}",
            "Enlever de ce câble les scanners et les autres contrôleurs, puis chercher encore.",
        ),
        Sentence(
            "Qui qualcosa parla da solo, cosa che nessuna scheda Modbus fa; non è stato chiesto niente: {what}",
            "Togliere da questo cavo gli scanner e gli altri controllori, poi cercare ancora.",
        ),
        Sentence(
            "Something talks here by itself, which no Modbus board does; nothing was asked: {what}",
            "Take scanners and other controllers off this cable, then search again.",
        ),
    ),
    "modbus.twins": (
        Sentence(
            "An dieser Adresse antworten mehrere Modbus-Platinen zugleich, oder etwas stört: {what}",
            "Jeder Platine eine eigene Adresse geben, einzeln angeschlossen; dann nochmals suchen.",
        ),
        Sentence(
            "À cette adresse, plusieurs cartes Modbus répondent à la fois, ou quelque chose perturbe : {what}",
            "Donner à chaque carte une adresse à elle, raccordée seule ; puis chercher encore.",
        ),
        Sentence(
            "A questo indirizzo rispondono insieme più schede Modbus, o qualcosa disturba: {what}",
            "Dare a ogni scheda un indirizzo suo, collegata da sola; poi cercare ancora.",
        ),
        Sentence(
            "At this address several Modbus boards answer at once, or something disturbs: {what}",
            "Give each board an address of its own, connected alone; then search again.",
        ),
    ),
    "modbus.many": (
        Sentence(
            "Mehr als vier Platinen an einem Bus: diese werden nicht benutzt: {what}",
            "Sie an einen eigenen Adapter hängen.",
        ),
        Sentence(
            "Plus de quatre cartes sur un bus : celles-ci ne servent pas : {what}",
            "Les mettre sur un adaptateur à elles.",
        ),
        Sentence(
            "Più di quattro schede su un bus: queste non si usano: {what}",
            "Metterle su un adattatore a parte.",
        ),
        Sentence(
            "More than four boards on one bus: these are not used: {what}",
            "Give them an adapter of their own.",
        ),
    ),
    "modbus.differ": (
        Sentence(
            "Die Platinen dieses Busses haben verschieden viele Relais und Eingänge: {what}",
            "Benutzt werden auf jeder so viele, wie alle haben. Sonst jeder Bauart einen eigenen Adapter geben.",
        ),
        Sentence(
            "Les cartes de ce bus n'ont pas le même nombre de relais et d'entrées : {what}",
            "Sur chacune servent ceux que toutes ont. Sinon donner à chaque sorte son adaptateur.",
        ),
        Sentence(
            "Le schede di questo bus hanno numeri diversi di relè e ingressi: {what}",
            "Su ognuna si usano quelli che hanno tutte. Altrimenti dare a ogni tipo il suo adattatore.",
        ),
        Sentence(
            "The boards of this bus differ in their relays and inputs: {what}",
            "Of each so many are used as all have. Else give each kind an adapter of its own.",
        ),
    ),
    "modbus.more_inputs": (
        Sentence(
            "Diese Platinen haben nur Eingänge und werden an diesem Bus nicht benutzt: {what}",
            "Jeder einen eigenen Adapter geben und dort suchen.",
        ),
        Sentence(
            "Ces cartes n'ont que des entrées et ne servent pas sur ce bus : {what}",
            "Donner à chacune son adaptateur, et chercher là.",
        ),
        Sentence(
            "Queste schede hanno solo ingressi e su questo bus non si usano: {what}",
            "Dare a ognuna il suo adattatore, e cercare lì.",
        ),
        Sentence(
            "These boards have inputs alone, and are not used on this bus: {what}",
            "Give each an adapter of its own, and look there.",
        ),
    ),
    "modbus.no_bus": (
        Sentence("Hier kann kein Modbus sein.", "Einen seriellen Adapter wählen, der nichts anderes ist."),
        Sentence("Il ne peut y avoir de Modbus ici.", "Choisir un adaptateur série qui n'est rien d'autre."),
        Sentence("Qui non può esserci un Modbus.", "Scegliere un adattatore seriale che non è altro."),
        Sentence("No Modbus can be here.", "Choose a serial adapter that is nothing else."),
    ),
    "commission.under_way": (
        Sentence("Dieses Tor wird eingerichtet.", "Auf der Seite der Box fertig einrichten."),
        Sentence(
            "Cette porte est en cours d'installation.", "Terminer l'installation sur la page du boîtier."
        ),
        Sentence(
            "Questo varco è in fase di configurazione.", "Terminare la configurazione sulla pagina del box."
        ),
        Sentence("This gate is being commissioned.", "Finish it on the box's page."),
    ),
    "commission.nothing_asked": (
        Sentence("Danach wird gerade nicht gefragt.", "Oben neu beginnen."),
        Sentence("Rien de tel n'est demandé en ce moment.", "Recommencer plus haut."),
        Sentence("In questo momento non viene chiesto.", "Ricominciare più sopra."),
        Sentence("That is not being asked for now.", "Begin anew above."),
    ),
    "commission.asks_other": (
        Sentence(
            "Auf einem anderen Telefon wird gerade nach etwas gefragt.",
            "Warten, bis es gefunden ist, oder es abbrechen.",
        ),
        Sentence(
            "Un autre téléphone demande justement quelque chose.",
            "Attendre que ce soit trouvé, ou l'annuler.",
        ),
        Sentence("Un altro telefono sta chiedendo qualcosa.", "Attendere che sia trovato, o annullarlo."),
        Sentence("Another phone is asking for something now.", "Wait until it is found, or cancel it."),
    ),
    "commission.no_uid": (
        Sentence(
            "Das ist keine Kartennummer.",
            "Die Nummer hexadezimal eingeben, wie auf der Karte oder im Telefon: 04:A2:2B:1C:9D:80:00. Nummern, die mit 08 beginnen und vier Byte haben, wechseln bei jedem Mal.",
        ),
        Sentence(
            "Ce n'est pas un numéro de carte.",
            "Le saisir en hexadécimal, tel qu'il figure sur la carte ou dans un téléphone : 04:A2:2B:1C:9D:80:00. Les numéros de quatre octets qui commencent par 08 changent à chaque fois.",
        ),
        Sentence(
            "Questo non è un numero di carta.",
            "Scriverlo in esadecimale, come sta sulla carta o nel telefono: 04:A2:2B:1C:9D:80:00. I numeri di quattro byte che iniziano con 08 cambiano ogni volta.",
        ),
        Sentence(
            "This is no card number.",
            "Type it in hexadecimal, as on the card or shown by a phone: 04:A2:2B:1C:9D:80:00. Numbers of four bytes that begin with 08 change each time.",
        ),
    ),
    "commission.no_board": (
        Sentence("Dieses Gerät lässt sich so nicht als Relais schalten.", "Anschluss und Bauart prüfen."),
        Sentence(
            "Cet appareil ne peut pas être commuté ainsi comme relais.", "Vérifier le branchement et le type."
        ),
        Sentence(
            "Questo dispositivo non si può comandare così come relè.",
            "Controllare il collegamento e il tipo.",
        ),
        Sentence(
            "This device cannot be switched as a relay board of this kind.", "Check its plug and its kind."
        ),
    ),
    "commission.no_inputs": (
        Sentence("Hier gibt es keine Kontakte zu lesen.", "Zuerst wählen, woran die Kontakte hängen."),
        Sentence("Il n'y a pas de contacts à lire ici.", "Choisir d'abord où les contacts sont raccordés."),
        Sentence("Qui non ci sono contatti da leggere.", "Scegliere prima dove sono collegati i contatti."),
        Sentence("There are no contacts to be read here.", "Choose first where the contacts are wired."),
    ),
    "commission.is_reader": (
        Sentence("Dieses Gerät ist schon ein Leser.", "Den Leser zuerst entfernen."),
        Sentence("Cet appareil est déjà un lecteur.", "Retirer d'abord le lecteur."),
        Sentence("Questo dispositivo è già un lettore.", "Togliere prima il lettore."),
        Sentence("This device is a reader already.", "Take the reader away first."),
    ),
    "commission.is_asked": (
        Sentence("Hier wird gerade gesucht.", "Warten, bis die Suche fertig ist."),
        Sentence("Une recherche est en cours ici.", "Attendre qu'elle soit finie."),
        Sentence("Qui è in corso una ricerca.", "Aspettare che finisca."),
        Sentence("This is being searched now.", "Wait until the search is done."),
    ),
    "commission.pulse_failed": (
        Sentence("Das Relais hat nicht geschaltet: {what}", "{hint}"),
        Sentence("Le relais n'a pas commuté : {what}", "{hint}"),
        Sentence("Il relè non è scattato: {what}", "{hint}"),
        Sentence("The relay did not switch: {what}", "{hint}"),
    ),
    "commission.no_lane": (
        Sentence("Diese Spur gibt es nicht.", "Die Spuren festlegen."),
        Sentence("Cette voie n'existe pas.", "Définir les voies."),
        Sentence("Questa corsia non esiste.", "Definire le corsie."),
        Sentence("There is no such lane.", "Set the lanes first."),
    ),
    "commission.pulse_silent": (
        Sentence(
            "Das Relais hat nicht geschaltet: das Gerät antwortet nicht.",
            "Bauart, Kabel und Speisung prüfen. ({what})",
        ),
        Sentence(
            "Le relais n'a pas commuté : l'appareil ne répond pas.",
            "Vérifier le type, le câble et l'alimentation. ({what})",
        ),
        Sentence(
            "Il relè non è scattato: il dispositivo non risponde.",
            "Controllare tipo, cavo e alimentazione. ({what})",
        ),
        Sentence(
            "The relay did not switch: the device does not answer.", "Check kind, cable and supply. ({what})"
        ),
    ),
    "commission.pulse_refused": (
        Sentence(
            "Das Relais hat nicht geschaltet: das Gerät nimmt das nicht an.",
            "Bauart und Zahl der Relais prüfen. ({what})",
        ),
        Sentence(
            "Le relais n'a pas commuté : l'appareil ne l'accepte pas.",
            "Vérifier le type et le nombre de relais. ({what})",
        ),
        Sentence(
            "Il relè non è scattato: il dispositivo non lo accetta.",
            "Controllare il tipo e il numero di relè. ({what})",
        ),
        Sentence(
            "The relay did not switch: the device does not take it.",
            "Check kind and number of relays. ({what})",
        ),
    ),
    "enrol.code": (
        Sentence(
            "Der Code ist falsch, schon benutzt oder abgelaufen.",
            "Genau abtippen, oder in der Zentrale bei diesem Tor einen neuen machen.",
        ),
        Sentence(
            "Le code est faux, déjà utilisé ou expiré.",
            "Le recopier avec soin, ou en faire un nouveau à la centrale, à cette porte.",
        ),
        Sentence(
            "Il codice è sbagliato, già usato o scaduto.",
            "Ricopiarlo con cura, o crearne uno nuovo nella centrale, a questo varco.",
        ),
        Sentence(
            "The code is wrong, used already, or expired.",
            "Type it with care, or make a new one at the centre, at this gate.",
        ),
    ),
    "enrol.address": (
        Sentence("Das ist keine Adresse einer Zentrale.", "So eingeben, wie die Zentrale sie zeigt."),
        Sentence("Ce n'est pas l'adresse d'une centrale.", "La saisir telle que la centrale l'affiche."),
        Sentence("Questo non è l'indirizzo di una centrale.", "Scriverlo come lo mostra la centrale."),
        Sentence("This is no address of a centre.", "Type it as the centre shows it."),
    ),
    "enrol.plain": (
        Sentence("Diese Adresse ist nicht verschlüsselt.", "Mit https:// eingeben."),
        Sentence("Cette adresse n'est pas chiffrée.", "La saisir avec https://."),
        Sentence("Questo indirizzo non è cifrato.", "Scriverlo con https://."),
        Sentence("This address is not encrypted.", "Type it with https://."),
    ),
    "enrol.silent": (
        Sentence(
            "Unter dieser Adresse antwortet keine Zentrale.",
            "Die Adresse und das Netz der Box prüfen. ({what})",
        ),
        Sentence(
            "Aucune centrale ne répond à cette adresse.",
            "Vérifier l'adresse et le réseau du boîtier. ({what})",
        ),
        Sentence(
            "A questo indirizzo non risponde nessuna centrale.",
            "Controllare l'indirizzo e la rete del box. ({what})",
        ),
        Sentence(
            "No centre answers at this address.", "Check the address and the network of the box. ({what})"
        ),
    ),
    "enrol.clock": (
        Sentence(
            "Die Uhr der Box passt nicht zum Zertifikat der Zentrale.",
            "Die Adresse mit ihrem Fingerabdruck eingeben (hinter #), oder die Uhr stellen.",
        ),
        Sentence(
            "L'horloge du boîtier ne s'accorde pas au certificat de la centrale.",
            "Saisir l'adresse avec son empreinte (après #), ou régler l'horloge.",
        ),
        Sentence(
            "L'orologio del box non concorda con il certificato della centrale.",
            "Scrivere l'indirizzo con la sua impronta (dopo #), o regolare l'orologio.",
        ),
        Sentence(
            "The clock of the box does not fit the centre's certificate.",
            "Type the address with its fingerprint (behind #), or set the clock.",
        ),
    ),
    "enrol.other_centre": (
        Sentence(
            "Hier antwortet eine andere Zentrale, als der Fingerabdruck sagt.",
            "Die Adresse neu kopieren. Stimmt sie, steht jemand dazwischen: nicht weitermachen.",
        ),
        Sentence(
            "Une autre centrale répond que celle de l'empreinte.",
            "Recopier l'adresse. Si elle est juste, quelqu'un s'est mis entre deux : ne pas continuer.",
        ),
        Sentence(
            "Risponde un'altra centrale che quella dell'impronta.",
            "Copiare di nuovo l'indirizzo. Se è giusto, qualcuno sta in mezzo: non proseguire.",
        ),
        Sentence(
            "Another centre answers than the fingerprint says.",
            "Copy the address anew. If it is right, somebody stands in between: go no further.",
        ),
    ),
    "enrol.other": (
        Sentence("Die Box wurde nicht angemeldet: {what}", "{hint}"),
        Sentence("Le boîtier n'a pas été inscrit : {what}", "{hint}"),
        Sentence("Il box non è stato iscritto: {what}", "{hint}"),
        Sentence("The box did not join: {what}", "{hint}"),
    ),
    "commission.incomplete": (
        Sentence("Es fehlt noch etwas.", "Unter «Los» steht, was."),
        Sentence("Il manque encore quelque chose.", "Voir sous « C'est parti »."),
        Sentence("Manca ancora qualcosa.", "Si trova sotto «Via»."),
        Sentence("Something is still missing.", "It is named under “Go”."),
    ),
    "commission.not_written": (
        Sentence("Die Konfiguration wurde nicht geschrieben: {what}", "Das dem Hersteller melden."),
        Sentence("La configuration n'a pas été écrite : {what}", "Merci de le signaler."),
        Sentence("La configurazione non è stata scritta: {what}", "Si prega di segnalarlo."),
        Sentence("The configuration was not written: {what}", "Please report this."),
    ),
    "commission.is_contact": (
        Sentence("An diesem Anschluss hängt ein Kontakt.", "Den Kontakt zuerst entfernen, dann ist er frei."),
        Sentence("Un contact est raccordé à cette ligne.", "Retirer d'abord le contact."),
        Sentence("A questa linea è collegato un contatto.", "Togliere prima il contatto."),
        Sentence("A contact is wired to this line.", "Take the contact away first."),
    ),
    "commission.not_pulsed": (
        Sentence(
            "Dieser Anschluss wurde noch nicht geschaltet.", "Zuerst schalten und zusehen, was sich bewegt."
        ),
        Sentence(
            "Cette ligne n'a pas encore été actionnée.", "L'actionner d'abord, et regarder ce qui bouge."
        ),
        Sentence(
            "Questa linea non è ancora stata azionata.", "Azionarla prima, e guardare che cosa si muove."
        ),
        Sentence("This line was not pulsed yet.", "Pulse it first, and see what moves."),
    ),
}
