"""Words that never find a picture, by language. Drawn together by hand; a word missing here costs little."""

_WORDS = """
a about above across after again against all almost along already also although always am among an
and another any anyone anything are around as at away back be became because become been before
began behind being below between both but by came can cannot come comes could did do does doing done
down during each either else end enough ever every everyone everything far few find first for found
from further gave get gets give given go goes going gone good got had has have having he her here
hers herself him himself his how however i if in into is it its itself just keep kept know known
last later least less let like little long look looks made make makes many may me might more most
much must my myself near need needs never new next no nobody none nor not nothing now of off often
old on once one only onto or other others our ours ourselves out over own part perhaps put quite
rather really said same saw say says second seconds see seem seen several shall she should show
since so some something soon still such take taken takes tell than that the their theirs them
themselves then there these they thing things this those though three through thus time to together
told too took toward two under until up upon us use used using very want was way we well went were
what when where which while who whom whose why will with within without would yes yet you your yours
yourself
video film scene shot minute minutes vertical horizontal
aber alle allem allen aller alles als also am an ander andere anderen auch auf aus bei beim bevor
bin bis bist da damit dann das dass dein deine dem den denn der deren des dessen die dies diese
diesem diesen dieser dieses doch dort du durch ein eine einem einen einer eines einmal er es etwas
euch euer für gegen gewesen hab habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr
ihre ihrem ihren ihrer im immer in indem ins ist jede jedem jeden jeder jedes jetzt kann kein keine
keinem keinen keiner können könnte machen man manche mehr mein meine mich mir mit muss müssen nach
nicht nichts noch nun nur ob oder ohne schon sehr sein seine seinem seinen seiner seit selbst sich
sie sind so solche soll sollte sondern sonst über um und uns unser unsere unter viel vom von vor
während war waren warum was weil weiter welche welcher wenn wer werde werden wie wieder will wir
wird wirst wo wollen wollte wurde wurden zu zum zur zwar zwischen
afin ailleurs ainsi alors après au aucun aussi autre aux avant avec avoir bien car ce cela celle
celui ces cet cette ceux chaque chez comme comment dans de depuis des donc dont du elle elles en
encore entre est et étaient était été être eux fait faire fois font furent fut il ils je jusque la
là le les leur leurs lui ma mais même mes moi moins mon ne ni nos notre nous on ont ou où par parce
pas pendant peu peut plus pour pourquoi près puis qu quand que quel quelle qui quoi sa sans se sera
ses si son sont sous sur ta te tes toi ton toujours tous tout toute toutes très tu un une vers voici
voilà vos votre vous
al algo algunas algunos ante antes así aunque bajo bien cada casi como con contra cual cuando de del
desde donde dos durante el él ella ellas ellos en entre era eran es esa esas ese eso esos esta está
estaba están estas este esto estos fue fueron ha había hace hacia han hasta hay la las le les lo los
más me mi mientras mis misma mismo mucho muy nada ni no nos nosotros nuestra nuestro o otra otras
otro otros para pero poco por porque pues que qué quien se sea ser si sí sido sin sobre solo son su
sus también tan tanto te tiene tienen toda todas todo todos tras tu tus un una unas uno unos usted y
ya yo
"""

STOP_WORDS = frozenset(_WORDS.split())
