[playlist]
NumberOfEntries=9
File10=sub dir/inner.mp3
Title10=The Last
File2=../mp3/vbr-44100-joint.mp3
Title2=Nordlys - Second
Length2=1
; File3=no.mp3
file1=sub dir/#1 hit.mp3
Title1=Café - First
Length1=-1
Version=2
